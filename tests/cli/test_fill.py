"""`incoder fill` on the files that people have."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RunCli = Callable[..., Any]
Fill = Callable[..., Any]

NUM_TOKENS = 3
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def fill(run_cli: RunCli, tiny_checkpoint: Path) -> Fill:
    """Fill with the tiny model and short infills."""

    def run(*arguments: str | Path, stdin: bytes = b"") -> Any:
        settings = ("--model", tiny_checkpoint, "--max-new-tokens", str(NUM_TOKENS))
        return run_cli("fill", *arguments, *settings, stdin=stdin)

    return run


def assert_only_the_holes_changed(before: bytes, after: bytes, hole: bytes = b"<FILL>") -> list[bytes]:
    """The infills; the parts around them must be there to the byte, in order."""
    first, *parts = before.split(hole)
    assert after.startswith(first)
    place = len(first)
    infills = []
    for number, part in enumerate(parts, start=1):
        is_last = number == len(parts)
        found = len(after) - len(part) if is_last else after.find(part, place)
        assert found >= place
        assert after[found : found + len(part)] == part
        infills.append(after[place:found])
        place = found + len(part)
    assert place == len(after)
    return infills


FILES = {
    "one hole": b"def mean(xs):\n    return <FILL>\n",
    "a hole at the very start": b"<FILL>\n\nmain()\n",
    "a hole at the very end": b"def main():\n    <FILL>",
    "nothing but a hole": b"<FILL>",
    "two holes side by side": b"x = <FILL><FILL>\n",
    "20 holes": b"".join(b"value_%d = <FILL>\n" % number for number in range(20)),
    "10,000 lines": b"import os\n\n" + b"x = 1\n" * 5000 + b"y = <FILL>\n" + b"z = 2\n" * 5000,
    "20 holes far apart": b"import os\n\n"
    + b"".join(b"x = 1\n" * 500 + b"y%d = <FILL>\n" % n for n in range(20)),
    "Windows line ends": b"def mean(xs):\r\n    <FILL>\r\n    return total\r\n",
    "mixed line ends": b"a = 1\r\nb = <FILL>\nc = 3\r\r\n",
    "tabs": b"if x:\n\tif y:\n\t\t<FILL>\n\telse:\n\t\tpass\n",
    "emoji": "smile = '🙂<FILL>👩‍👩‍👧'\n".encode(),
    "Latin-1": b"# -*- coding: latin-1 -*-\nname = 'M\xfcller<FILL>\xe9'\n",
    "bytes that are no text": b"\x80\xff\xfe<FILL>\x80\n",
    "a byte order mark": b"\xef\xbb\xbfimport os\n<FILL>\n",
    "special tokens": b"s = '<|mask:0|> <|endofmask|> <|endoftext|> <pad>' + <FILL>\n",
    "one endless line": b"x = [" + b"1, " * 20_000 + b"<FILL>" + b", 2" * 20_000 + b"]\n",
}


@pytest.mark.parametrize("name", FILES)
def test_all_outside_the_holes_stays_to_the_byte(name: str, fill: Fill, tmp_path: Path) -> None:
    file = tmp_path / "file.py"
    file.write_bytes(FILES[name])
    printed = fill(file)
    assert printed.status == 0, printed.stderr
    assert file.read_bytes() == FILES[name]
    infills = assert_only_the_holes_changed(FILES[name], printed.stdout)
    assert len(infills) == FILES[name].count(b"<FILL>")
    written = fill(file, "--in-place")
    assert (written.status, written.stdout) == (0, b"")
    assert file.read_bytes() == printed.stdout


def test_infills_in_a_windows_file_have_windows_line_ends(fill: Fill) -> None:
    """The model is made to write a line end by a prefix that every line end in the vocabulary continues."""
    outcome = fill(
        "-", "--json", "--max-new-tokens", "60", "--temperature", "3", stdin=b"a = 1\r\n<FILL>\r\n" * 4
    )
    infills = "".join(json.loads(outcome.stdout)["infills"])
    assert infills.count("\n") == infills.count("\r\n")


def test_standard_input_is_a_file_too(fill: Fill) -> None:
    outcome = fill("-", stdin=FILES["one hole"])
    assert outcome.status == 0
    assert_only_the_holes_changed(FILES["one hole"], outcome.stdout)


def test_a_hole_may_be_marked_otherwise(fill: Fill) -> None:
    outcome = fill("-", "--hole", "???", stdin=b"x = ???; y = '<FILL>'\n")
    assert_only_the_holes_changed(b"x = ???; y = '<FILL>'\n", outcome.stdout, b"???")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x = 1\n", "holes.py has no hole; mark where code is missing with <FILL> (another marker: --hole)"),
        (b"", "holes.py is empty; mark where code is missing with <FILL> (another marker: --hole)"),
    ],
)
def test_a_file_without_a_hole_is_refused(
    content: bytes, message: str, run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("holes.py").write_bytes(content)
    outcome = run_cli("fill", "holes.py", "--in-place")
    assert outcome.status == 1
    assert outcome.stderr == f"error: {message}\n"
    assert Path("holes.py").read_bytes() == content


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files with holes, one that is no text, one without a hole, and bytes that no marker is in."""
    contents = {
        "a.py": b"x = <FILL>\n",
        "b.py": b"y = <FILL><FILL>\n",
        "c.py": b"z = 1\n",
        "d": b"",
        "e": b"\0",
    }
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in {**contents, "wide.txt": b"\0<FILL>"}.items():
        (folder / name).write_bytes(content)
    return folder


def test_the_files_of_a_folder_that_have_holes_are_filled_and_a_bad_one_stops_no_other(
    fill: Fill, folder: Path
) -> None:
    outcome = fill(folder, "--in-place")
    assert (outcome.status, outcome.stdout) == (1, b"")
    assert outcome.stderr.splitlines() == [
        f"1/3 {folder / 'a.py'}: 1 written",
        f"2/3 {folder / 'b.py'}: 2 written",
        f"3/3 failed: {folder / 'wide.txt'} is binary, not text: it has NUL bytes",
        "3 files: 2 changed, 0 unchanged, 1 failed; 3 written",
        "error: 1 of 3 files failed",
    ]
    assert_only_the_holes_changed(b"y = <FILL><FILL>\n", (folder / "b.py").read_bytes())


def test_a_diff_of_several_files_and_their_json_are_one(fill: Fill, folder: Path) -> None:
    named = (folder / "a.py", folder / "c.py", folder / "b.py")
    outcome = fill(*named, "--diff")
    assert outcome.status == 0
    assert [line for line in outcome.stdout.splitlines() if line.startswith(b"---")] == [
        f"--- {file}".encode() for file in (named[0], named[2])
    ]
    assert f"2/3 {named[1]}: nothing to do: there is no <FILL> in it" in outcome.stderr
    answer = json.loads(fill(*named, "--json").stdout)
    assert [one["file"] for one in answer["files"]] == [str(file) for file in named]
    assert [len(one.get("infills", ())) for one in answer["files"]] == [1, 0, 2]
    assert (folder / "a.py").read_bytes() == b"x = <FILL>\n"


def test_several_files_need_a_place_for_their_results(run_cli: RunCli, folder: Path) -> None:
    assert run_cli("fill", folder).status == 2
    assert run_cli("fill", folder / "a.py", folder / "b.py").status == 2
    assert run_cli("fill", folder, "--show-prompt").status == 2


def test_one_file_in_place_says_what_was_written(fill: Fill, folder: Path) -> None:
    outcome = fill(folder / "b.py", "--in-place")
    assert outcome.stderr.splitlines()[-1] == f"{folder / 'b.py'}: 2 written"


def test_a_hole_that_no_time_was_left_for_keeps_its_marker(fill: Fill, folder: Path) -> None:
    outcome = fill(folder / "b.py", "--in-place", "--time-limit", "1e-9")
    assert outcome.status == 0
    assert (folder / "b.py").read_bytes() == b"y = <FILL><FILL>\n"
    assert outcome.stderr.splitlines()[-1] == f"{folder / 'b.py'}: 0 written, 2 left: the time was up"


def test_the_prompt_is_what_the_model_reads(fill: Fill) -> None:
    shown = fill("-", "--ext", "py", "--show-prompt", stdin=b"\xef\xbb\xbfimport os\r\n<FILL>\r\nx = 1\n")
    prompt = "<|endoftext|><| file ext=.py |>\nimport os\n<|mask:0|>\nx = 1\n<|mask:1|><|mask:0|>"
    assert (shown.status, shown.stdout.decode()) == (0, prompt + "\n")
    assert re.fullmatch(r"the model reads these \d+ tokens, then writes the first infill\n", shown.stderr)
    healed = fill("-", "--ext", "py", "--show-prompt", stdin=b"import os\nim<FILL>\n")
    assert b"import os\n<|mask:0|>" in healed.stdout
    assert "token healing has the infill begin with 'im'" in healed.stderr


def test_a_file_that_may_not_be_read_is_refused(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, os.strerror(13), str(path))

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything
    outcome = run_cli("fill", tmp_path / "secret.py")
    assert outcome.status == 1
    assert outcome.stderr.endswith("secret.py: Permission denied\n")


def test_a_file_that_may_not_be_written_stays(
    fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, target: Path) -> Path:
        raise OSError(28, os.strerror(28), str(path), None, str(target))

    file = tmp_path / "holes.py"
    file.write_bytes(FILES["one hole"])
    monkeypatch.setattr(Path, "replace", refuse)
    outcome = fill(file, "--in-place")
    assert outcome.status == 1
    assert "No space left on device" in outcome.stderr
    assert file.read_bytes() == FILES["one hole"]
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_was_changed_meanwhile_stays(
    fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from incoder.inference.infill_model import InfillModel

    file = tmp_path / "holes.py"
    file.write_bytes(FILES["one hole"])
    run = InfillModel.run

    def edit_then_fill(model: InfillModel, *arguments: Any, **settings: Any) -> Any:
        file.write_bytes(b"edited meanwhile <FILL>\n")
        return run(model, *arguments, **settings)

    monkeypatch.setattr(InfillModel, "run", edit_then_fill)
    outcome = fill(file, "--in-place")
    assert outcome.status == 1
    assert "was changed meanwhile" in outcome.stderr
    assert file.read_bytes() == b"edited meanwhile <FILL>\n"


def test_in_place_keeps_the_mode_and_follows_links(fill: Fill, tmp_path: Path) -> None:
    file, link = tmp_path / "script.py", tmp_path / "link.py"
    file.write_bytes(FILES["one hole"])
    file.chmod(0o751)
    link.symlink_to(file)
    assert fill(link, "--in-place").status == 0
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o751
    assert b"<FILL>" not in file.read_bytes()


def test_a_read_only_file_stays(fill: Fill, tmp_path: Path) -> None:
    file = tmp_path / "holes.py"
    file.write_bytes(FILES["one hole"])
    file.chmod(0o444)
    outcome = fill(file, "--in-place")
    assert outcome.status == 1
    assert "is read-only" in outcome.stderr
    assert file.read_bytes() == FILES["one hole"]


def test_standard_input_cannot_be_written_to(run_cli: RunCli) -> None:
    outcome = run_cli("fill", "-", "--in-place", stdin=b"<FILL>")
    assert outcome.status == 2
    assert "--in-place needs a file" in outcome.stderr


def test_only_one_kind_of_output_at_a_time(run_cli: RunCli, tmp_path: Path) -> None:
    assert run_cli("fill", tmp_path / "a.py", "--diff", "--json").status == 2


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--top-p", "1.4", "top_p must be in (0, 1], got 1.4"),
        ("--temperature", "-1", "temperature must be at least 0"),
        ("--max-new-tokens", "0", "max_new_tokens must be at least 1"),
        ("-n", "0", "num_candidates must be in [1, "),
        ("--hole", "", "--hole must not be empty"),
    ],
)
def test_settings_out_of_range_are_bad_usage(option: str, value: str, message: str, run_cli: RunCli) -> None:
    outcome = run_cli("fill", "-", option, value, stdin=b"<FILL>")
    assert outcome.status == 2
    assert message in outcome.stderr


def test_a_model_that_is_not_there_is_named(run_cli: RunCli) -> None:
    outcome = run_cli("fill", "-", "--model", "no-such-model", stdin=b"<FILL>")
    assert outcome.status == 1
    assert "there is no model 'no-such-model'; give an embedded model" in outcome.stderr


def test_json_has_all_candidates(fill: Fill, tiny_checkpoint: Path) -> None:
    outcome = fill("-", "--json", "-n", "3", "--temperature", "2", stdin=FILES["Latin-1"])
    answer = json.loads(outcome.stdout)
    assert outcome.stdout.count(b"\n") == 1
    assert answer["file"] == "-"
    assert answer["model"] == str(tiny_checkpoint)
    assert len(answer["candidates"]) == 3
    best = answer["candidates"][0]
    assert (answer["text"], answer["infills"]) == (best["text"], best["infills"])
    assert set(best) == {"text", "infills", "logprob", "total_logprob", "finish_reasons"}
    assert_only_the_holes_changed(FILES["Latin-1"], best["text"].encode("utf-8", "surrogateescape"))


def test_the_best_candidate_is_printed_and_the_others_are_noted(fill: Fill) -> None:
    settings = ("-", "-n", "3", "--temperature", "2", "--seed", "1")
    outcome = fill(*settings, stdin=FILES["one hole"])
    answer = json.loads(fill(*settings, "--json", stdin=FILES["one hole"]).stdout)
    assert outcome.stdout.decode() == answer["text"]
    for number, candidate in enumerate(answer["candidates"], start=1):
        assert f"candidate {number}, mean log-probability {candidate['logprob']:.3f}" in outcome.stderr
        assert repr(candidate["infills"][0]) in outcome.stderr


def test_the_whole_text_may_decide_between_the_same_candidates(fill: Fill) -> None:
    settings = ("-", "-n", "5", "--temperature", "2", "--seed", "1", "--json")
    by_mean, by_whole = (
        json.loads(fill(*settings, "--rank-by", order, stdin=FILES["one hole"]).stdout)["candidates"]
        for order in ("mean", "whole")
    )
    assert {one["text"] for one in by_mean} == {one["text"] for one in by_whole}
    assert [one["logprob"] for one in by_mean] == sorted((one["logprob"] for one in by_mean), reverse=True)
    assert [one["text"] for one in by_mean] != [one["text"] for one in by_whole]


def test_an_infill_that_was_cut_off_is_noted(fill: Fill) -> None:
    outcome = fill("-", stdin=FILES["20 holes"])
    assert "not finished after 3 tokens; allow more with --max-new-tokens" in outcome.stderr


def test_a_diff_can_be_applied(fill: Fill, tmp_path: Path) -> None:
    file = tmp_path / "holes.py"
    file.write_bytes(FILES["a hole at the very end"])
    outcome = fill(file, "--diff")
    assert outcome.stdout.startswith(f"--- {file}\n+++ {file}\n@@ -1,2 +1,".encode())
    assert b"\n-    <FILL>\n\\ No newline at end of file\n" in outcome.stdout
    assert b"\x1b" not in outcome.stdout
    filled = fill(file).stdout
    subprocess.run(["patch", "-s", str(file)], input=outcome.stdout, check=True)
    assert file.read_bytes() == filled


def test_the_same_seed_fills_the_same(fill: Fill) -> None:
    def filled(seed: str) -> bytes:
        outcome = fill("-", "--temperature", "2", "--seed", seed, stdin=FILES["one hole"])
        assert isinstance(outcome.stdout, bytes)
        return outcome.stdout

    assert filled("1") == filled("1") != filled("2")


def test_the_installed_command_fills(tiny_checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "holes.py"
    file.write_bytes(FILES["Latin-1"])
    command = [sys.executable, "-m", "incoder", "fill", str(file), "--model", str(tiny_checkpoint)]
    result = subprocess.run([*command, "--max-new-tokens", "3"], capture_output=True, check=True)
    assert_only_the_holes_changed(FILES["Latin-1"], result.stdout)


def test_the_demo_is_a_program_that_runs_once_mini_has_filled_it(tmp_path: Path) -> None:
    demo, text, program = ROOT / "examples/demo.py", tmp_path / "text.txt", tmp_path / "words.py"
    command = [sys.executable, "-m", "incoder", "fill", str(demo), "--dtype", "float32", "--device", "cpu"]
    program.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    text.write_text("one two\ntwo\n", encoding="utf-8")
    command = [sys.executable, str(program), str(text)]
    result = subprocess.run(command, capture_output=True, check=True, text=True)
    assert result.stdout == "       2 two\n       1 one\n"
    assert result.stderr == "2 different words\n"


def test_the_first_command_on_the_page_is_the_demo() -> None:
    command = "incoder fill examples/demo.py"
    assert f"\n{command}  " in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"@$(BIN)/{command}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_a_streamed_text_is_the_same_to_the_byte(fill: Fill, tmp_path: Path) -> None:
    for text in (FILES["one hole"], b"def f(x):\r\n    <FILL>\r\ny = <FILL>\r\n"):
        file = tmp_path / "holes.py"
        file.write_bytes(text)
        plain = fill(file, "--seed", "3", "-n", "1")
        streamed = fill(file, "--seed", "3", "--stream")
        assert streamed.status == plain.status == 0
        assert streamed.stdout == plain.stdout
        assert streamed.stderr == plain.stderr


def test_a_stream_comes_in_pieces_and_each_part_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    from incoder.cli import streamed_text
    from incoder.request import InfillRequest
    from incoder.results import TextPiece

    written: list[str] = []
    monkeypatch.setattr(streamed_text, "write_result", written.append)
    request = InfillRequest(parts=("a\r\n", "b\r\n", "c", "d"))
    shown = streamed_text.StreamedText(request.parts)
    for hole, text in ((0, "x\n"), (0, "y\r"), (0, "\nz"), (2, "w")):
        shown.add(TextPiece(request, 0, hole, text))
    assert "".join(written) == "a\r\nx\r\ny\r\nzb\r\ncw"
    shown.finish("a\r\nx\r\ny\r\nzb\r\ncwd")
    assert "".join(written) == "a\r\nx\r\ny\r\nzb\r\ncwd"
    assert len(written) >= 5


@pytest.mark.parametrize("options", [("--json",), ("--diff",), ("-n", "2"), ("--show-prompt",)])
def test_a_stream_shows_one_candidate_of_one_file(options: tuple[str, ...], fill: Fill) -> None:
    outcome = fill("-", "--stream", *options, stdin=b"<FILL>")
    assert outcome.status == 2
    assert "--stream needs a single file and one candidate (-n 1)" in outcome.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (("--no-heal",), ("--no-token-healing",)),
        (("--heal",), ("--token-healing",)),
        (("--no-edges",), ("--no-stopping-rules",)),
        (("--edges",), ("--stopping-rules",)),
        (("--lead-lines", "2"), ("--tail-lines", "2")),
        (("--rank-by", "whole"), ("--rank-by", "full-text")),
    ],
)
def test_options_of_before_are_read_with_a_note(
    old: tuple[str, ...], new: tuple[str, ...], fill: Fill
) -> None:
    text = b"def f(x):\n    ret<FILL>\n    y = 1\n"
    settings = ("--temperature", "1", "-n", "2", "--seed", "5")
    before, now = fill("-", *settings, *old, stdin=text), fill("-", *settings, *new, stdin=text)
    note = f"note: {' '.join(old[:2] if old[0] == '--rank-by' else old[:1])} is now called "
    assert before.status == now.status == 0
    assert before.stdout == now.stdout
    assert note + " ".join(new if old[0] == "--rank-by" else new[:1]) in before.stderr
    assert "is now called" not in now.stderr


def test_lines_of_an_infill_can_be_limited(fill: Fill) -> None:
    outcome = fill("-", "--lines", "one", "--temperature", "2", "--no-stopping-rules", stdin=b"x = <FILL>\n")
    assert outcome.status == 0
    assert len(outcome.stdout.strip().splitlines()) <= 2
    assert fill("-", "--lines", "two", stdin=b"<FILL>").status == 2
    assert "full-text" in fill("-", "--rank-by", "best", stdin=b"<FILL>").stderr
