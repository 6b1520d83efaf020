"""A command runs on a tree, and the tree stays as it is, whatever the command does."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from incoder.editing.test_run import runner as runner_module
from incoder.editing.test_run import tree as copying
from incoder.editing.test_run.containment import Ending, Request, UnavailableError, run_contained
from incoder.editing.test_run.runner import CommandRunner, Containment, Outcome
from incoder.errors import IncoderError

Runner = Callable[..., CommandRunner]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "src" / "package").mkdir(parents=True)
    (root / "src" / "package" / "__init__.py").write_text("")
    (root / "src" / "package" / "area.py").write_text("def area(a, b):\n    return a + b\n")
    (root / "check.py").write_text("from package.area import area\nassert area(3, 4) == 12\n")
    (root / ".venv").mkdir()
    (root / ".venv" / "marker").write_text("here")
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


@pytest.fixture(scope="session", params=Containment, ids=lambda containment: containment.name.lower())
def containment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Containment:
    """Each way to contain a command that this system allows."""
    root, found = tmp_path_factory.mktemp("probe"), request.param
    (root / "a.py").touch()
    with CommandRunner("true", root, root / "a.py", 30.0, containment=found) as probe:
        try:
            probe.run("")
        except IncoderError as error:
            pytest.skip(str(error))
    assert isinstance(found, Containment)
    return found


@pytest.fixture
def make_runner(tree: Path, containment: Containment) -> Iterator[Callable[..., CommandRunner]]:
    """A test run of a command in the tree, contained in this way."""
    with ExitStack() as stack:

        def entered(command: str, timeout: float = 30.0, **settings: Any) -> CommandRunner:
            file = tree / "src" / "package" / "area.py"
            return stack.enter_context(
                CommandRunner(command, tree, file, timeout, containment=containment, **settings)
            )

        yield entered


def test_the_command_judges_the_new_text_and_the_tree_stays(tree: Path, make_runner: Runner) -> None:
    (tree / "check.py").write_text("from package.area import area\nassert area == 12\n")
    before = content(tree)
    runner = make_runner("python -S check.py")
    assert runner.run("area = 12\n").failure is None
    assert runner.run("area = 7\n").failure == "the command fails with status 1"
    assert content(tree) == before


def test_changes_of_the_command_are_gone_at_the_next_run(tree: Path, make_runner: Runner) -> None:
    before = content(tree)
    command = (
        "test ! -e left && grep -q assert check.py && test -r src/package && test ! -L src/package "
        "&& touch left && echo no >> check.py && mkdir -p deep/er && touch deep/er/file && chmod 0 deep "
        "&& chmod 0 check.py && mv src moved && ln -s moved src"
    )
    runner = make_runner(command)
    assert [runner.run("").failure for _ in range(3)] == [None, None, None]
    assert content(tree) == before
    assert {path.name for path in tree.iterdir()} <= {".git", ".gitignore", ".venv", "src", "check.py"}


def test_a_file_that_is_removed_or_turned_into_a_folder_is_there_at_the_next_run(make_runner: Runner) -> None:
    command = "test -f check.py && rm check.py && mkdir check.py && touch check.py/inside && rm -r src"
    runner = make_runner(command)
    assert [runner.run("").failure for _ in range(2)] == [None, None]


def test_environments_are_at_hand_and_stay_as_they_are(
    tree: Path, make_runner: Runner, containment: Containment
) -> None:
    runner = make_runner("grep -q here .venv/marker; status=$?; echo changed > .venv/marker; exit $status")
    assert runner.run("").failure is None
    if containment is Containment.PLAIN:
        assert str(tree / ".venv") in (runner.warning or "")
    else:
        assert runner.warning is None
        assert (tree / ".venv" / "marker").read_text() == "here"


def test_targets_of_links_out_of_the_tree_stay_unchanged(
    tree: Path, tmp_path: Path, make_runner: Runner, containment: Containment
) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "data").write_text("mine")
    (tmp_path / "single").write_text("mine")
    (tree / "folder").symlink_to("../beside")
    (tree / "file").symlink_to(tmp_path / "single")
    runner = make_runner(
        "cat folder/data file; echo theirs > folder/data; echo theirs > file; echo theirs > folder/new"
    )
    assert runner.run("").output.startswith("minemine")
    if containment is Containment.PLAIN:
        assert str(tmp_path / "beside") in (runner.warning or "")
    else:
        assert (tmp_path / "beside" / "data").read_text() == (tmp_path / "single").read_text() == "mine"
        assert not (tmp_path / "beside" / "new").exists()


def test_nothing_is_said_of_a_linked_file_that_the_user_cannot_write(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "interpreter").touch()
    (tree / "python").symlink_to(tmp_path / "interpreter")
    (tree / ".venv" / "marker").unlink()
    (tree / ".venv").rmdir()
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path).name != "interpreter")
    with CommandRunner("true", tree, tree / "check.py", 30.0, containment=Containment.PLAIN) as runner:
        runner.run("")
        assert runner.warning is None


def test_a_link_to_a_folder_around_the_tree_can_be_followed_and_the_tree_changed(
    tree: Path, make_runner: Runner
) -> None:
    (tree / "up").symlink_to("..")
    before = content(tree)
    assert make_runner("touch new && ls up/ && python up/tree/src/package/area.py").run("").failure is None
    assert content(tree) == before


def test_the_tree_itself_stays_where_the_command_finds_it_by_its_path(
    tree: Path, make_runner: Runner, containment: Containment
) -> None:
    if containment is Containment.PLAIN:
        pytest.skip("without namespaces a command reaches all that its user does")
    before = content(tree)
    make_runner(f"rm -rf {tree}/src {tree}/.venv; echo no > {tree}/check.py").run("")
    assert content(tree) == before


def test_a_path_may_have_every_character(tmp_path: Path, containment: Containment) -> None:
    root = tmp_path / "a, b:c\\d é\n\"'$(x)"
    root.mkdir()
    (root / "a b.txt").write_text("old")
    with CommandRunner("cat *.txt", root, root / "a b.txt", 30.0, containment=containment) as runner:
        assert runner.run("new \udce9").output == "new \ufffd"
    assert (root / "a b.txt").read_text() == "old"


def test_a_new_text_of_the_same_size_does_not_run_a_cached_module(tree: Path, make_runner: Runner) -> None:
    area = tree / "src" / "package" / "area.py"
    area.write_text("def area(a, b):\n    return a + b\n")
    subprocess.run([sys.executable, "-c", "import package.area"], cwd=tree / "src", check=True)
    assert make_runner("python check.py").run("def area(a, b):\n    return a * b\n").failure is None


def test_mode_and_links_to_the_file_are_as_in_the_tree(tree: Path, make_runner: Runner) -> None:
    area = tree / "src" / "package" / "area.py"
    area.chmod(0o444)
    (tree / "also").symlink_to("src/package/area.py")
    assert make_runner("grep -q new also && test ! -x also").run("new").failure is None


def test_a_command_that_never_ends_is_ended(make_runner: Runner) -> None:
    started = time.monotonic()
    outcome = make_runner("sleep 60 & sleep 60", timeout=0.5).run("")
    assert outcome.failure == "the command takes longer than 0.5 s"
    assert time.monotonic() - started < 10


def test_only_the_end_of_endless_output_is_kept(make_runner: Runner) -> None:
    outcome = make_runner("yes the output", timeout=0.5).run("")
    assert outcome.failure == "the command takes longer than 0.5 s"
    assert len(outcome.output) <= 1_000_000
    outcome = make_runner("yes | head -c 5000000; echo last; exit 3").run("")
    assert (outcome.output[-5:], outcome.status) == ("last\n", 3)


def test_links_lead_into_the_tested_tree(tree: Path, tmp_path: Path, make_runner: Runner) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "data").write_text("beside")
    os.mkfifo(tree / "pipe")
    (tree / "inside").symlink_to("src/package")
    (tree / "absolute").symlink_to(tree / "src" / "package")
    (tree / "outside").symlink_to("../beside")
    (tree / "nowhere").symlink_to("nothing")
    (tree / "circle").symlink_to("circle")
    outcome = make_runner(
        "grep -q new inside/area.py absolute/area.py && cat outside/data && touch absolute/left"
    ).run("new")
    assert (outcome.failure, outcome.output) == (None, "beside")
    assert not (tree / "src" / "package" / "left").exists()


def test_a_missing_command_is_distinguished_from_one_that_fails(make_runner: Runner) -> None:
    assert make_runner("no-such-command").run("").is_not_found
    assert not make_runner("exit 1").run("").is_not_found


def test_paths_in_the_output_are_those_of_the_tree(tree: Path, make_runner: Runner) -> None:
    outcome = make_runner("python src/package/area.py; echo $PWD/check.py:3:").run("\n\n1 / 0\n")
    assert "incoder-test" not in outcome.output
    assert outcome.lines_of(tree / "src" / "package" / "area.py") == [3]
    assert outcome.lines_of(tree / "check.py") == [3]


def test_the_tree_is_copied_once_and_only_what_changed_again(
    make_runner: Runner, containment: Containment, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied, counted = list[str](), list[tuple[int, int]]()
    copy = copying.copy_file

    def counting(source: Path, target: Path) -> None:
        copied.append(source.name)
        copy(source, target)

    monkeypatch.setattr(copying, "copy_file", counting)
    runner = make_runner("echo x >> check.py")
    for _ in range(3):
        runner.run("", on_copy=lambda *counts: counted.append(counts))
    if containment is Containment.OVERLAY:
        assert (copied, counted) == ([], [])
    else:
        num_files = len(counted)
        assert counted[-1] == (num_files, num_files)
        assert sorted(copied[num_files:]) == ["area.py", "area.py", "check.py", "check.py"]


def test_a_tree_that_is_too_large_to_copy_is_refused_with_the_option_that_allows_it(
    tree: Path, make_runner: Runner, containment: Containment
) -> None:
    (tree / "large").write_bytes(bytes(2000))
    runner = make_runner("true", max_copy_bytes=1000)
    if containment is Containment.OVERLAY:
        assert runner.run("").failure is None
    else:
        with pytest.raises(IncoderError, match=r"more than 0 MB.*--max-copy"):
            runner.run("")


def test_nothing_is_left_in_the_folder_for_temporary_files(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    with CommandRunner(
        "mkdir -p a/b && touch a/b/c && rm check.py && chmod 0 a", tree, tree / "check.py", 30.0
    ) as runner:
        assert runner.run("").failure is None
    assert list((tmp_path / "temporary").iterdir()) == []


def test_temporary_files_may_lie_within_the_tree(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tree / "temporary"))
    with CommandRunner(
        "grep -q new check.py && touch left && ls temporary", tree, tree / "check.py", 30.0
    ) as runner:
        assert runner.run("new").status == 2  # what is copied is not copied along
    assert not (tree / "left").exists()


def test_the_best_containment_that_the_system_allows_is_used(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = list[Request]()

    def refuse_namespaces(request: Request, *arguments: Any) -> Ending:
        if request.has_namespaces:
            refused.append(request)
            raise UnavailableError("not permitted")
        return run_contained(request, *arguments)

    monkeypatch.setattr(runner_module, "run_contained", refuse_namespaces)
    with CommandRunner("true", tree, tree / "check.py", 30.0) as runner:
        assert [runner.run("").failure for _ in range(2)] == [None, None]
        assert runner.containment is Containment.PLAIN
        assert (runner.warning or "").startswith("the command can change, through links in the tree, /")
    assert [request.overlay is not None for request in refused] == [True, False]


@pytest.mark.parametrize("command", ["", " ", "echo a\0b"])
def test_a_command_that_no_shell_can_run_is_refused(tree: Path, command: str) -> None:
    with pytest.raises(IncoderError, match="must not be empty or have a NUL character"):
        CommandRunner(command, tree, tree / "check.py", 1.0)


def test_a_file_outside_of_the_root_is_refused(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="is not in"):
        CommandRunner("true", tree, tmp_path / "other.py", 1.0)


def test_the_output_says_which_lines_failed() -> None:
    traceback = 'File "/x/src/a.py", line 12, in f\nFile "/x/b.py", line 3\nFile "a.py", line 7, in g\n'
    assert Outcome("x", traceback).lines_of(Path("src/a.py")) == [7, 12]
    assert Outcome("x", "src/a.py:5: AssertionError\n").lines_of(Path("a.py").absolute()) == []
    assert Outcome("x", "src/a.py:5: AssertionError\n").lines_of(Path("x/src/a.py")) == [5]
    assert Outcome("x", "at f (../src/a.js:5:9)\n").lines_of(Path("src/a.js")) == [5]


def test_files_with_a_longer_name_or_in_another_folder_are_others() -> None:
    output = 'test_util.py:5: AssertionError\nFile "/x/other/util.py", line 6\nother/util.py:7: E\n'
    assert Outcome("x", output).lines_of(Path("src/util.py")) == []
