import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from incoder.cli.corpus import _highlighted_line, app
from incoder.corpus.storage.token_shards import TokenShard
from incoder.embedded_models import EMBEDDED
from incoder.errors import IncoderError
from incoder.tokenizer.tokenizer import Tokenizer


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    for name, text in {
        "one/a.py": "value = 1\n",
        "one/b.py": "[bold]red[/bold] = '\x1b[31m'\n" + "zero = 2\n" * 50,
        "one/c.py": "",
        "two/d.py": "value = 3\n",
        "two/e.py": "value = 3\n",
    }.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    path = tmp_path / "corpus.toml"
    source = f'[[sources]]\nkind = "folder"\npath = "{tmp_path / "source"}"\nprojects = "entries"\n'
    path.write_text('validation_projects = ["two"]\n' + source)
    return path


@pytest.fixture
def corpus(recipe: Path, tmp_path: Path) -> Path:
    assert run("build", recipe, "--output", tmp_path / "corpus").exit_code == 0
    return tmp_path / "corpus"


def test_build_says_what_it_made_and_how_to_ask_why(recipe: Path, tmp_path: Path) -> None:
    result = run("build", recipe, "--output", tmp_path / "corpus")
    assert result.stdout == ""
    assert "3 documents" in result.stderr
    assert "2 files left out" in result.stderr
    assert f"incoder corpus report {tmp_path / 'corpus'}" in result.stderr


def test_build_takes_settings_from_the_command_line(recipe: Path, tmp_path: Path) -> None:
    run("build", recipe, "--output", tmp_path / "corpus", "--set", "filters.max_file_bytes=100")
    report = json.loads(run("report", tmp_path / "corpus", "--json").stdout)
    assert report["dropped"]["too large"]["num_files"] == 1


def test_building_again_warns_of_shards_of_the_old_documents(
    recipe: Path, corpus: Path, tiny_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    tiny_tokenizer.save(tmp_path / "tokenizer")
    run("encode", corpus, "--tokenizer", tmp_path / "tokenizer")
    assert "earlier build" in run("build", recipe, "--output", corpus).stderr


def test_encode_writes_shards_of_the_tokenizers_ids(
    corpus: Path, tiny_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    tiny_tokenizer.save(tmp_path / "tokenizer")
    result = run("encode", corpus, "--tokenizer", tmp_path / "tokenizer")
    assert "train: 2 documents" in result.stderr
    shard = TokenShard.open(corpus / "tokens", "validation")
    assert shard.tokenizer_fingerprint == tiny_tokenizer.fingerprint
    assert shard.document(0)[0] == tiny_tokenizer.document_start_id
    assert "\nvalue = 3\n\n" in tiny_tokenizer.decode(shard.document(0).tolist())


def test_a_corpus_is_encoded_with_the_tokenizer_of_an_embedded_model(corpus: Path, tmp_path: Path) -> None:
    outcome = run("encode", str(corpus), "--tokenizer", "mini", "--output", str(tmp_path / "tokens"))
    assert outcome.exit_code == 0
    mini = Tokenizer.from_file(EMBEDDED / "mini")
    assert TokenShard.open(tmp_path / "tokens", "train").tokenizer_fingerprint == mini.fingerprint


def test_report_shows_projects_and_reasons_with_examples(corpus: Path) -> None:
    shown = run("report", corpus).stdout
    for part in ("train", "validation", "one", "two", "empty", "one/c.py", "not stated"):
        assert part in shown


def test_report_shows_lengths_and_clusters_of_copies(corpus: Path) -> None:
    shown = " ".join(run("report", corpus).stdout.split())
    assert "Lengths bytes documents" in shown
    assert "< 16 2 < 512 1" in shown
    assert "duplicate 2 1" in shown  # two alike, once
    assert re.search(r"duplicate two: two/[de]\.py 2", shown)


def test_report_as_json_is_one_object(corpus: Path) -> None:
    report = json.loads(run("report", corpus, "--json").stdout)
    assert report["splits"]["train"]["num_documents"] == 2


def test_show_prints_documents_with_their_tags_and_no_control_characters(corpus: Path) -> None:
    shown = run("show", corpus, "--n", "2", "--lines", "3").stdout
    assert shown.count("<| file") == shown.count("<|/ file") == 2
    assert "[bold]red[/bold] = '�[31m'" in shown
    assert "more lines" in shown
    assert run("show", corpus, "--split", "validation").stdout.count("value = 3") == 1


@pytest.mark.parametrize("command", ["report", "show"])
def test_a_folder_without_a_corpus_is_an_error(command: str, tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="incoder corpus build"):
        run(command, tmp_path)


@pytest.mark.parametrize(
    "arguments", [["show", "corpus", "--split", "test"], ["build", "a.toml", "-o", "b", "--executor", "foo"]]
)
def test_a_choice_that_is_not_there_is_a_mistake_in_the_command(arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is not one of" in result.stderr


def test_names_are_shown_as_they_are_without_control_characters(recipe: Path, tmp_path: Path) -> None:
    folder = tmp_path / "source" / "[th:bug:ree" / "["
    folder.mkdir(parents=True)
    (folder / "bold].py").write_text("value = 4\n")
    (folder / "b].py").write_text("")
    (folder / "\x1b[31m.py").write_text("value = 5\n")
    run("build", recipe, "--output", tmp_path / "corpus")
    shown = run("report", tmp_path / "corpus").stdout
    for part in ("[th:bug:ree/[/b].py", "[th:bug:ree/[/�[31m.py"):
        assert part in shown
    assert "[th:bug:ree/[/bold].py" in run("show", tmp_path / "corpus").stdout


@pytest.mark.parametrize(
    ("line", "is_tag"),
    [
        ("<| file ext=.py |>", True),
        ("<|/ file |>\r", True),
        ("<| q tags=python,regex dscore=3 |>", True),
        ("<|/ q |>", True),
        ("<| a |>", True),
        ("<|/ a dscore=2 |>", True),
        ("<| c |>", True),
        ("<|/ c |>", True),
        ("<cell>", True),
        ("</text>", True),
        ("<| code |>", False),
        ("x = <cell>", False),
    ],
)
def test_tags_of_files_threads_and_notebooks_are_highlighted(line: str, is_tag: bool) -> None:
    assert bool(_highlighted_line(line).style) == is_tag
