"""A command in copies of a tree: the tree itself stays as it is, whatever the command does."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from incoder.errors import IncoderError
from incoder.tasks.trial import Outcome, Trial


@pytest.fixture(params=["git", "plain"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "src" / "package").mkdir(parents=True)
    (root / "src" / "package" / "__init__.py").write_text("")
    (root / "src" / "package" / "area.py").write_text("def area(a, b):\n    return a + b\n")
    (root / "check.py").write_text("from package.area import area\nassert area(3, 4) == 12\n")
    (root / ".venv").mkdir()
    (root / ".venv" / "marker").write_text("here")
    if request.param == "git":
        (root / ".gitignore").write_text(".venv\n")
        subprocess.run(["git", "init", "-q", root], check=True)
        subprocess.run(["git", "-C", root, "add", "check.py"], check=True)
    return root


def content(root: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".git/" not in str(path)
    }


def trial(tree: Path, command: str, timeout: float = 30.0) -> Trial:
    return Trial(command, tree, tree / "src" / "package" / "area.py", timeout)


def test_the_command_judges_the_new_text_and_the_tree_stays(tree: Path) -> None:
    before = content(tree)
    judged = trial(tree, "python check.py")
    assert judged.run("def area(a, b):\n    return a * b\n").failure is None
    assert judged.run("def area(a, b):\n    return a - b\n").failure == "the command fails with status 1"
    assert content(tree) == before


def test_what_the_command_does_to_files_is_gone_with_the_copy(tree: Path) -> None:
    before = content(tree)
    judged = trial(tree, "test ! -e left && rm check.py && touch left")
    assert [judged.run("").failure for _ in range(2)] == [None, None]
    assert content(tree) == before


def test_environments_are_at_hand(tree: Path) -> None:
    assert trial(tree, "grep -q here .venv/marker").run("").failure is None


def test_a_command_that_never_ends_is_ended_with_all_that_it_started(tree: Path, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    outcome = trial(tree, f"(sleep 2; touch {alive}) & sleep 60", timeout=0.5).run("")
    assert outcome.failure == "the command takes longer than 0.5 s"
    time.sleep(2.2)
    assert not alive.exists()


def test_what_leaves_the_session_of_the_command_is_ended_with_it(tree: Path, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    leave = f"(setsid sh -c 'sleep 1.5; touch {alive}' &)"
    assert trial(tree, leave).run("").failure is None
    assert trial(tree, f"{leave}; sleep 60", timeout=0.5).run("").failure
    time.sleep(1.7)
    assert not alive.exists() or sys.platform != "linux"


def test_of_endless_output_the_end_is_kept_and_the_rest_is_not(tree: Path) -> None:
    outcome = trial(tree, "yes the output", timeout=0.5).run("")
    assert outcome.failure == "the command takes longer than 0.5 s"
    assert len(outcome.output) <= 1_000_000
    outcome = trial(tree, "yes | head -c 5000000; echo last; exit 3").run("")
    assert (outcome.output[-5:], outcome.status) == ("last\n", 3)


def test_pipes_are_left_out_of_the_copy_and_links_lead_into_it(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "data").write_text("beside")
    os.mkfifo(tree / "pipe")
    (tree / "inside").symlink_to("src/package")
    (tree / "absolute").symlink_to(tree / "src" / "package")
    (tree / "outside").symlink_to("../beside")
    (tree / "nowhere").symlink_to("nothing")
    command = "test ! -e pipe && grep -q new inside/area.py absolute/area.py && cat outside/data"
    outcome = trial(tree, f"{command} && touch absolute/left").run("new")
    assert (outcome.failure, outcome.output) == (None, "beside")
    assert not (tree / "src" / "package" / "left").exists()


def test_a_command_that_is_not_there_is_told_from_one_that_fails(tree: Path) -> None:
    assert trial(tree, "no-such-command").run("").is_not_found
    assert not trial(tree, "exit 1").run("").is_not_found


def test_a_file_outside_of_the_root_is_refused(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="is not in"):
        Trial("true", tree, tmp_path / "other.py", 1.0)


def test_the_output_says_which_lines_failed() -> None:
    traceback = 'File "/x/src/a.py", line 12, in f\nFile "/x/b.py", line 3\nFile "a.py", line 7, in g\n'
    assert Outcome("x", traceback).lines_of(Path("src/a.py")) == [7, 12]
    assert Outcome("x", "src/a.py:5: AssertionError\n").lines_of(Path("a.py").absolute()) == []
    assert Outcome("x", "src/a.py:5: AssertionError\n").lines_of(Path("x/src/a.py")) == [5]
    assert Outcome("x", "at f (../src/a.js:5:9)\n").lines_of(Path("src/a.js")) == [5]


def test_files_with_a_longer_name_or_in_another_folder_are_others() -> None:
    output = 'test_util.py:5: AssertionError\nFile "/x/other/util.py", line 6\nother/util.py:7: E\n'
    assert Outcome("x", output).lines_of(Path("src/util.py")) == []


def test_paths_in_the_output_are_those_of_the_tree(tree: Path) -> None:
    outcome = trial(tree, "python src/package/area.py; echo $PWD/check.py:3:").run("\n\n1 / 0\n")
    assert "incoder-trial" not in outcome.output
    assert outcome.lines_of(tree / "src" / "package" / "area.py") == [3]
    assert outcome.lines_of(tree / "check.py") == [3]
