import json
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from incoder.cli import objective as command
from incoder.errors import IncoderError
from incoder.objective.span_kinds.mixture import SpanKind
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer

runner = CliRunner()
CODE = "import os\n\n\ndef main():\n    print(os.getcwd())\n    return 'é🙂'\n"


@pytest.fixture
def saved(tiny_tokenizer: Tokenizer, tmp_path: Path) -> str:
    tiny_tokenizer.save(tmp_path / "saved")
    return str(tmp_path / "saved")


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "file.py").write_text(CODE, encoding="utf-8")
    return str(tmp_path / "file.py")


def show(*arguments: str, **settings: Any) -> str:
    return runner.invoke(command.app, ["show", *arguments], catch_exceptions=False, **settings).stdout


def test_spans_follow_their_sentinels_at_the_end(file: str, saved: str) -> None:
    shown = show(file, "--tokenizer", saved, "--seed", "3", "--mean-spans", "2")
    assert shown.startswith("block 1 of 1: ")
    assert shown.count("<|mask:0|>") == 3  # where it was cut out, where it is now, and in the legend
    assert "\n<|mask:0|>" in shown
    assert shown.count("<|endofmask|>") == shown.count("<|mask:") / 3
    assert show(file, "--tokenizer", saved, "--seed", "3", "--mean-spans", "2") == shown
    assert show(file, "--tokenizer", saved, "--seed", "4", "--mean-spans", "2") != shown


def test_colours_are_those_of_the_sentinels(file: str, saved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    shown = show(file, "--tokenizer", saved, "--line-span-rate", "1", "--seed", "1")
    assert shown.count("\x1b[1;7;36m<|mask:0|>\x1b[0m") == 3
    assert "<|mask:0|>\x1b[0m\x1b[36m" in shown


@pytest.mark.parametrize(
    "options",
    [
        ["--span-boundaries", "character", "--window", "16"],
        ["--rule", "released-code", "--window", "30"],
        ["--line-span-rate", "1", "--mean-spans", "3", "--span-boundaries", "character"],
        ["--plain-rate", "1"],
    ],
)
def test_json_holds_the_whole_file(
    file: str, saved: str, tiny_tokenizer: Tokenizer, options: list[str]
) -> None:
    shown = json.loads(show(file, "--tokenizer", saved, "--json", *options))
    blocks = shown["blocks"]
    assert shown["num_tokens"] == sum(len(block["token_ids"]) for block in blocks)
    assert shown["num_spans"] == sum(len(block["spans"]) for block in blocks)
    infilling_format = CausalMaskingFormat(tiny_tokenizer)
    restored = b""
    for block in blocks:
        kept, spans, continues = infilling_format.parse(block["token_ids"])
        assert continues == block["continues"]
        assert [tiny_tokenizer.decode(part) for part in kept] == block["kept"]
        restored += tiny_tokenizer.decode_bytes(kept[0])
        for span, part in zip(spans, kept[1:], strict=True):
            restored += tiny_tokenizer.decode_bytes([*span, *part])
    assert restored.decode() == CODE


@pytest.mark.parametrize(
    ("earlier", "now", "value"),
    [("--edges", "--span-boundaries", "character"), ("--num-lead-lines", "--num-tail-lines", "3")],
)
def test_renamed_options_are_read_by_their_earlier_names_with_a_note(
    file: str, saved: str, earlier: str, now: str, value: str
) -> None:
    common = ["show", file, "--tokenizer", saved, "--line-span-rate", "1", "--json"]
    by_new_name = runner.invoke(command.app, [*common, now, value])
    by_earlier_name = runner.invoke(command.app, [*common, earlier, value])
    assert by_earlier_name.stdout == by_new_name.stdout
    assert f"{earlier} is called {now} now" in by_earlier_name.stderr
    assert by_new_name.stderr == ""


def test_a_long_file_goes_on_after_the_extra_sentinel(file: str, saved: str) -> None:
    shown = show(file, "--tokenizer", saved, "--window", "24")
    assert "block 2 of" in shown
    assert "has no span: the file goes on in the next block" in shown


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"\x1b[31mred<|mask:0|>[bold]\r\n"])
def test_any_bytes_are_shown_and_none_are_obeyed(data: bytes, saved: str) -> None:
    shown = show("-", "--tokenizer", saved, "--plain-rate", "1", input=data)
    assert "\x1b" not in shown
    assert "1 block" in shown
    if data.startswith(b"\x1b"):
        assert r"\x1b[31mred<|mask:0|>[bold]" in shown


def test_mistakes_are_named(file: str, saved: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IncoderError, match="missing"):
        show(str(tmp_path / "missing.py"), "--tokenizer", saved)
    monkeypatch.setattr("incoder.embedded_models.EMBEDDED", tmp_path)
    with pytest.raises(IncoderError, match="--tokenizer PATH"):
        show(file)
    assert runner.invoke(command.app, ["show", file, "--plain-rate", "2"]).exit_code == 2


def test_spans_are_of_the_kinds_that_are_asked_for(saved: str, tmp_path: Path) -> None:
    (tmp_path / "calls.py").write_text("value = call(first, 'second')\n" * 20)
    kinds = ["--span-kind", "strings", "--line-span-rate", "1", "--mean-spans", "9"]
    shown = json.loads(show(str(tmp_path / "calls.py"), "--tokenizer", saved, *kinds, "--json"))
    spans = [span for block in shown["blocks"] for span in block["spans"]]
    assert spans
    assert all("second".endswith(span) for span in spans)


def test_the_kinds_in_help_are_those_of_the_objective() -> None:
    assert set(command._SPAN_KINDS) == set(get_args(SpanKind))


@pytest.mark.parametrize("arguments", [("sentences", "--line-span-rate", "1"), ("names",)])
def test_an_unknown_kind_and_kinds_that_are_never_drawn_are_bad_usage(
    file: str, saved: str, arguments: tuple[str, ...]
) -> None:
    result = runner.invoke(command.app, ["show", file, "--tokenizer", saved, "--span-kind", *arguments])
    assert result.exit_code == 2
