"""One file or many edited: what comes out, what is written, what is said of each and of all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from incoder.cli.batch import Edited, EveryFileError, Output, edit_files, once
from incoder.cli.file_list import FileList
from incoder.errors import IncoderError

Captured = pytest.CaptureFixture[str]
CONTENTS = {"a.py": "a = 1\n", "bad.py": "bad\n", "c.py": "c = 1\n", "done.py": "done\n"}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileList:
    monkeypatch.chdir(tmp_path)
    for name, content in CONTENTS.items():
        Path(name).write_text(content)
    return FileList(tuple(CONTENTS), is_one=False)


def double(file: str) -> Edited:
    """The numbers of a file doubled: a place each, and one that is left; a file may have none."""
    old = Path(file).read_text()
    if file == "bad.py":
        raise IncoderError("cannot be read")
    new = old.replace("1", "2")
    if new == old:
        return Edited(file, old, old, {"file": file}, nothing_to_do="there is no number")
    return Edited(file, old, new, {"file": file, "text": new}, 1, ["is odd: 3", "is odd: 5", "is long"])


def contents() -> dict[str, str]:
    return {name: Path(name).read_text() for name in CONTENTS}


def test_a_file_that_fails_stops_no_other_and_is_counted_at_the_end(
    files: FileList, capsys: Captured
) -> None:
    with pytest.raises(IncoderError, match=r"^1 of 4 files failed$"):
        edit_files(files, double, Output(in_place=True))
    assert contents() == CONTENTS | {"a.py": "a = 2\n", "c.py": "c = 2\n"}
    assert capsys.readouterr().err.splitlines() == [
        "1/4 a.py: 1 written, 3 left: is odd (2), is long (1)",
        "2/4 bad.py: failed: cannot be read",
        "3/4 c.py: 1 written, 3 left: is odd (2), is long (1)",
        "4/4 done.py: nothing to do: there is no number",
        "4 files: 2 changed, 1 unchanged, 1 failed; 2 written, 6 left: is odd (4), is long (2)",
    ]


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("the only candidate cannot be used", "1/1 a: failed: the only candidate cannot be used"),
        ("the data.a is odd", "1/1 a: failed: the data.a is odd"),
        ("a: does not parse", "1/1 a: failed: does not parse"),
        ("there is no file a; give a path", "1/1 failed: there is no file a; give a path"),
    ],
)
def test_the_line_of_a_failure_names_the_file_even_if_its_name_is_part_of_a_word(
    message: str, line: str, capsys: Captured
) -> None:
    def fail(_file: str) -> Edited:
        raise IncoderError(message)

    with pytest.raises(IncoderError):
        edit_files(FileList(("a",), is_one=False), fail, Output(json=True))
    assert capsys.readouterr().err.splitlines()[0] == line


@pytest.mark.usefixtures("files")
def test_without_a_failure_the_command_succeeds(capsys: Captured) -> None:
    edit_files(FileList(("done.py", "a.py"), is_one=False), double, Output(in_place=True))
    assert capsys.readouterr().err.splitlines()[-1].startswith("2 files: 1 changed, 1 unchanged; 1 written")
    assert contents() == CONTENTS | {"a.py": "a = 2\n"}


@pytest.mark.usefixtures("files")
def test_a_diff_is_over_all_files_and_writes_none(capsys: Captured) -> None:
    edit_files(FileList(("a.py", "c.py"), is_one=False), double, Output(diff=True))
    shown = capsys.readouterr()
    assert shown.out == (
        "--- a.py\n+++ a.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n--- c.py\n+++ c.py\n@@ -1 +1 @@\n-c = 1\n+c = 2\n"
    )
    assert "2 files: 2 would change, 0 unchanged; 2 proposed, 6 left" in shown.err
    assert contents() == CONTENTS


def test_json_of_several_files_is_one_object(files: FileList, capsys: Captured) -> None:
    with pytest.raises(IncoderError, match="1 of 4 files failed"):
        edit_files(files, double, Output(json=True))
    assert json.loads(capsys.readouterr().out) == {
        "files": [
            {"file": "a.py", "text": "a = 2\n"},
            {"file": "bad.py", "error": "cannot be read"},
            {"file": "c.py", "text": "c = 2\n"},
            {"file": "done.py"},
        ],
        "num_changed": 2,
        "num_unchanged": 1,
        "num_failed": 1,
    }


def test_no_files_at_all_are_nothing_to_do(capsys: Captured) -> None:
    edit_files(FileList((), is_one=False), double, Output(json=True))
    shown = capsys.readouterr()
    assert json.loads(shown.out)["files"] == []
    assert shown.err.startswith("nothing to do: ")


def test_a_single_file_gives_its_text_and_its_own_object(files: FileList, capsys: Captured) -> None:
    one = FileList(files.paths[:1], is_one=True)
    edit_files(one, double, Output())
    assert capsys.readouterr() == ("a = 2\n", "")
    edit_files(one, double, Output(json=True))
    assert json.loads(capsys.readouterr().out) == {"file": "a.py", "text": "a = 2\n"}
    edit_files(one, double, Output(in_place=True))
    assert capsys.readouterr() == ("", "a.py: 1 written, 3 left: is odd (2), is long (1)\n")


@pytest.mark.usefixtures("files")
def test_a_single_file_that_fails_ends_the_command_with_its_own_error() -> None:
    with pytest.raises(IncoderError, match=r"^cannot be read$"):
        edit_files(FileList(("bad.py",), is_one=True), double, Output())


def test_where_nothing_can_be_written_the_file_counts_as_failed(files: FileList, capsys: Captured) -> None:
    def fail(file: str) -> Edited:
        return Edited(file, "old", "old", {"file": file}, 0, ["is odd"], failure="none can be used")

    with pytest.raises(IncoderError, match="4 of 4 files failed"):
        edit_files(files, fail, Output(json=True))
    assert json.loads(capsys.readouterr().out)["files"][0] == {"file": "a.py", "error": "none can be used"}
    with pytest.raises(IncoderError, match="none can be used"):
        edit_files(FileList(("a.py",), is_one=True), fail, Output())
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("files")
def test_a_file_that_was_changed_meanwhile_fails_alone(capsys: Captured) -> None:
    def change(file: str) -> Edited:
        edited = double(file)
        if file == "a.py":
            Path(file).write_text("a = 3\n")
        return edited

    with pytest.raises(IncoderError, match="1 of 2 files failed"):
        edit_files(FileList(("a.py", "c.py"), is_one=False), change, Output(in_place=True))
    assert contents() == CONTENTS | {"a.py": "a = 3\n", "c.py": "c = 2\n"}
    assert "failed: a.py was changed meanwhile" in capsys.readouterr().err


def test_what_all_files_need_is_made_once_and_its_failure_ends_the_command(
    files: FileList, capsys: Captured
) -> None:
    calls: list[str] = []

    def load() -> str:
        calls.append("load")
        return "model"

    def refuse() -> str:
        raise IncoderError("there is no model")

    def edit(loaded: Callable[[], str]) -> Callable[[str], Edited]:
        return lambda file: Edited(file, "", "", {"file": file, "model": loaded()})

    edit_files(files, edit(once(load)), Output(json=True))
    assert calls == ["load"]
    with pytest.raises(EveryFileError, match=r"^there is no model$"):
        edit_files(files, edit(once(refuse)), Output(json=True))
    assert capsys.readouterr().err.count("no model") == 0


def test_an_interrupted_command_says_how_far_it_came(files: FileList, capsys: Captured) -> None:
    def interrupt(file: str) -> Edited:
        if file == "c.py":
            raise KeyboardInterrupt
        return double(file)

    with pytest.raises(KeyboardInterrupt):
        edit_files(files, interrupt, Output(in_place=True))
    assert "ended early. 2 files: 1 changed, 0 unchanged, 1 failed" in capsys.readouterr().err
    assert contents() == CONTENTS | {"a.py": "a = 2\n"}


@pytest.mark.usefixtures("files")
def test_rare_reasons_are_summed_up(capsys: Captured) -> None:
    left = [reason for number, reason in enumerate("abcde", start=1) for _ in range(number)]

    def edit(file: str) -> Edited:
        return Edited(file, "a", "a", {}, 1, left)

    edit_files(FileList(("a.py",), is_one=True), edit, Output(in_place=True))
    assert "1 written, 15 left: e (5), d (4), c (3), other reasons (3)" in capsys.readouterr().err


RunCli = Callable[..., Any]


@pytest.mark.parametrize("command", ["docstring", "types"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.py", "c.py", "--all"), "need --in-place, --diff or --json"),
        ((".", "--all"), "need --in-place, --diff or --json"),
        ((".", "--lines", "2:3", "--diff"), "--lines needs a single file"),
        ((".", "--function", "f", "--json"), "--function needs a single file"),
        (("a.py", "-", "--all", "--diff"), "must be alone"),
        (("-", "--all", "--in-place"), "standard input cannot be written"),
    ],
)
@pytest.mark.usefixtures("files")
def test_what_several_files_do_not_admit_is_refused_with_the_remedy(
    command: str, arguments: tuple[str, ...], message: str, run_cli: RunCli
) -> None:
    outcome = run_cli(command, *arguments)
    assert (outcome.status, outcome.stdout) == (2, b"")
    assert message in " ".join(outcome.stderr.replace("│", " ").split())
