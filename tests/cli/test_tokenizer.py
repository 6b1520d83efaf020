import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from incoder.cli import tokenizer as command
from incoder.document import Document
from incoder.errors import IncoderError
from incoder.tokenizer.tokenizer import Tokenizer

runner = CliRunner()


@pytest.fixture
def saved(tiny_tokenizer: Tokenizer, tmp_path: Path) -> str:
    tiny_tokenizer.save(tmp_path / "saved")
    return str(tmp_path / "saved")


def test_show_puts_the_ids_under_the_pieces(saved: str, tiny_tokenizer: Tokenizer) -> None:
    result = runner.invoke(command.app, ["show", "return x\n\tq", "--tokenizer", saved])
    lines = [line.split() for line in result.stdout.splitlines()]
    ids = [str(token_id) for token_id in tiny_tokenizer.encode("return x\n\tq")]
    assert lines == [["return·", "x", "⏎"], ids[:3], [], ["⇥", "q"], ids[3:], [], *lines[-1:]]
    assert result.stdout.splitlines()[-1] == "5 tokens, 11 bytes, 2.20 bytes a token"


def test_show_folds_at_the_width_of_the_terminal(saved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    result = runner.invoke(command.app, ["show", "q " * 40, "--tokenizer", saved])
    assert max(map(len, result.stdout.splitlines())) <= 40
    assert result.stdout.count("q") == 40


def test_show_takes_special_tokens_for_text(saved: str, tiny_tokenizer: Tokenizer) -> None:
    result = runner.invoke(command.app, ["show", "é<|mask:0|>", "--tokenizer", saved, "--json"])
    shown = json.loads(result.stdout)
    assert shown["token_ids"] == tiny_tokenizer.encode("é<|mask:0|>")
    assert shown["pieces"][:2] == [r"\xc3", r"\xa9"]
    assert (shown["num_tokens"], shown["num_bytes"]) == (len(shown["token_ids"]), 12)


def test_show_recognises_special_tokens_when_asked(saved: str) -> None:
    result = runner.invoke(
        command.app, ["show", "<|mask:0|>", "--tokenizer", saved, "--json", "--special-tokens"]
    )
    assert json.loads(result.stdout)["token_ids"] == [383]


@pytest.mark.parametrize("data", [b"a\xff\r\n", b""])
def test_show_reads_any_bytes_from_standard_input(saved: str, tiny_tokenizer: Tokenizer, data: bytes) -> None:
    result = runner.invoke(command.app, ["show", "-", "--tokenizer", saved, "--json"], input=data)
    assert json.loads(result.stdout)["token_ids"] == tiny_tokenizer.encode_bytes(data)
    assert runner.invoke(command.app, ["show", "-", "--tokenizer", saved], input=data).exit_code == 0


def test_without_an_embedded_model_the_option_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("incoder.embedded_models.EMBEDDED", tmp_path)
    with pytest.raises(IncoderError, match="--tokenizer PATH"):
        runner.invoke(command.app, ["show", "x"], catch_exceptions=False)


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A recipe for a corpus that is not on disk: `read_documents` is replaced."""

    def read_documents(folder: Path, split: str) -> Iterator[Document]:
        assert (folder, split) == (tmp_path / "corpus", "train")
        for number in range(20):
            yield Document(
                f"import numpy as np\n\nx = {number}\n",
                f"{number}.py",
                "project",
                "folder",
                None,
                {"ext": ".py"},
            )

    monkeypatch.setattr("incoder.corpus.storage.documents.read_documents", read_documents)
    path = tmp_path / "tokenizer.toml"
    path.write_text(f'corpus = "{tmp_path / "corpus"}"\nvocab_size = 540\n')
    return path


def test_train_writes_a_tokenizer_that_knows_the_attribute_tags(recipe: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    result = runner.invoke(
        command.app,
        ["train", str(recipe), "--output", str(output), "--set", "vocab_size=550"],
        catch_exceptions=False,
    )
    assert result.exit_code == 0
    tokenizer = Tokenizer.from_file(output)
    assert tokenizer.vocab_size == 550
    assert len(tokenizer.encode("import numpy as np")) < 4
    assert len(tokenizer.encode("<|")) == 1
    assert "vocab_size = 550" in (output / "tokenizer.toml").read_text()


@pytest.mark.parametrize("name", ["tokenizer.json", "special_tokens_map.json", "tokenizer.toml"])
def test_train_replaces_no_tokenizer_but_its_own(recipe: Path, tmp_path: Path, name: str) -> None:
    output = tmp_path / "output"
    output.mkdir()
    (output / name).write_text("theirs")
    arguments = ["train", str(recipe), "--output", str(output)]
    result = runner.invoke(command.app, arguments)
    assert isinstance(result.exception, IncoderError)
    assert f"holds {name}, which would be replaced" in str(result.exception)
    assert {path.name: path.read_text() for path in output.iterdir()} == {name: "theirs"}
    (output / name).unlink()
    assert [runner.invoke(command.app, arguments).exit_code for _ in range(2)] == [0, 0]


def test_train_that_was_killed_while_it_wrote_can_be_run_again(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "tokenizer"
    save = Tokenizer.save

    def killed(tokenizer: Tokenizer, folder: Path) -> None:
        save(tokenizer, folder)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Tokenizer, "save", killed)
        runner.invoke(command.app, ["train", str(recipe), "--output", str(output)])
    assert (output / "tokenizer.json").is_file()
    result = runner.invoke(command.app, ["train", str(recipe), "--output", str(output)])
    assert result.exit_code == 0, result.exception


def test_train_takes_another_corpus_from_the_command_line(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text('corpus = "elsewhere"\nvocab_size = 540\n')
    arguments = [
        "train",
        str(recipe),
        "--output",
        str(tmp_path / "output"),
        "--corpus",
        str(tmp_path / "corpus"),
    ]
    assert runner.invoke(command.app, arguments, catch_exceptions=False).exit_code == 0


def test_the_recipes_that_come_along_are_valid() -> None:
    from incoder.config import load_recipe
    from incoder.tokenizer.training import TokenizerRecipe

    recipes = Path(__file__).resolve().parents[2] / "recipes"
    sizes = {
        name: load_recipe(TokenizerRecipe, recipes / name / "tokenizer.toml").vocab_size
        for name in ("tiny", "mini")
    }
    assert sizes == {"tiny": 2048, "mini": 8192}
