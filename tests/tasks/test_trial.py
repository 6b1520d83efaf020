"""A command in copies of a tree: the tree itself stays as it is, whatever the command does."""

import subprocess
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


def test_a_file_outside_of_the_root_is_refused(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="is not in"):
        Trial("true", tree, tmp_path / "other.py", 1.0)


def test_the_output_says_which_lines_failed() -> None:
    traceback = 'File "/x/area.py", line 12, in f\nFile "/x/b.py", line 3\nFile "area.py", line 7, in g\n'
    assert Outcome("x", traceback).lines_of(Path("src/area.py")) == [7, 12]
    assert Outcome("x", "src/area.py:5: AssertionError\n").lines_of(Path("area.py")) == [5]
