"""`incoder project`, and the project memory of `incoder fill`."""

import json
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from incoder.cli.project_memory import cache_folder
from incoder.inference.memory.index import ProjectIndex
from incoder.inference.memory.lookup import WeightedSegment

RunCli = Callable[..., Any]
Fill = Callable[..., Any]


@pytest.fixture(autouse=True)
def project_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which commands store the memory of projects, in a cache of this test's own."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return cache / "incoder" / "projects"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with a file that has a hole, and another file."""
    folder = tmp_path / "repository"
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    (folder / "a.py").write_text("def a(values):\n    return <FILL>\n")
    (folder / "b.py").write_text("def b(values):\n    return sum(values) / len(values)\n")
    return folder


@pytest.fixture
def fill(run_cli: RunCli, tiny_checkpoint: Path) -> Fill:
    """Fill with the tiny model and short infills."""

    def run(*arguments: str | Path, stdin: bytes = b"") -> Any:
        return run_cli("fill", *arguments, "--model", tiny_checkpoint, "--max-new-tokens", "2", stdin=stdin)

    return run


def projects(run_cli: RunCli, *arguments: str | Path) -> list[str]:
    outcome = run_cli("project", "status", *arguments, "--json")
    assert outcome.status == 0
    return [project["root"] for project in json.loads(outcome.stdout)["projects"]]


def test_a_fill_with_a_project_remembers_it(
    run_cli: RunCli, fill: Fill, repository: Path, project_cache: Path
) -> None:
    assert fill(repository / "a.py", "--project", repository).status == 0
    outcome = run_cli("project", "status", "--json")
    found = json.loads(outcome.stdout)
    (project,) = found["projects"]
    assert found["folder"] == str(project_cache)
    assert (project["root"], project["num_files"]) == (str(repository), 2)
    assert project["num_bytes"] == sum(path.stat().st_size for path in Path(project["folder"]).iterdir())
    table = run_cli("project", "status").stdout.decode()
    assert "repository" in table
    assert " 2 " in table


@pytest.mark.parametrize("options", [[], ["--json"], ["--stream"]])
def test_without_a_project_nothing_is_stored(
    run_cli: RunCli, fill: Fill, repository: Path, project_cache: Path, options: list[str]
) -> None:
    assert fill(repository / "a.py", *options).status == 0
    assert not project_cache.exists()
    assert projects(run_cli) == []


def test_a_completion_with_a_project_remembers_it(
    run_cli: RunCli, tiny_checkpoint: Path, repository: Path
) -> None:
    short = ("--model", tiny_checkpoint, "--max-new-tokens", "2")
    assert run_cli("complete", repository / "b.py", "--project", repository, *short).status == 0
    assert run_cli("complete", "-", "--project", repository, *short, stdin=b"x = ").status == 0
    assert projects(run_cli) == [str(repository)]


def test_a_prompt_is_shown_without_an_index(fill: Fill, repository: Path, project_cache: Path) -> None:
    outcome = fill(repository / "a.py", "--project", repository, "--show-prompt")
    assert outcome.status == 0
    assert not project_cache.exists()


@pytest.mark.parametrize("options", [[], ["--stream"]])
def test_standard_input_may_have_a_project(
    run_cli: RunCli, fill: Fill, repository: Path, options: list[str]
) -> None:
    assert fill("-", "--project", repository, *options, stdin=b"x = <FILL>\n").status == 0
    assert projects(run_cli) == [str(repository)]
    assert projects(run_cli, repository) == [str(repository)]
    assert projects(run_cli, repository.parent) == []


@pytest.mark.parametrize("options", [[], ["--ext", ".js"]])
@pytest.mark.parametrize("command", ["fill", "complete"])
def test_the_saved_version_of_an_open_file_is_not_looked_at(
    run_cli: RunCli,
    tiny_checkpoint: Path,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    options: list[str],
) -> None:
    hidden = list[Collection[str]]()
    weighted = ProjectIndex.weighted

    def noting(index: ProjectIndex, vocab_size: int, left_out: Collection[str] = ()) -> list[WeightedSegment]:
        hidden.append(left_out)
        return weighted(index, vocab_size, left_out)

    monkeypatch.setattr(ProjectIndex, "weighted", noting)
    short = ("--model", tiny_checkpoint, "--max-new-tokens", "2")
    assert run_cli(command, repository / "a.py", "--project", repository, *short, *options).status == 0
    assert [set(one) & {"a.py", "b.py"} for one in hidden] == [{"a.py"}]


def test_the_cache_folder_follows_xdg() -> None:
    assert cache_folder({"HOME": "/home/me"}) == Path("/home/me/.cache/incoder/projects")
    relative = {"HOME": "/home/me", "XDG_CACHE_HOME": "caches"}  # which the specification says to ignore
    assert cache_folder(relative) == Path("/home/me/.cache/incoder/projects")


def test_a_repository_that_git_cannot_list_is_refused(fill: Fill, repository: Path) -> None:
    (repository / ".git" / "HEAD").write_text("damaged")
    outcome = fill(repository / "a.py", "--project", repository)
    assert (outcome.status, outcome.stdout) == (1, b"")
    assert "git cannot list" in outcome.stderr


@pytest.mark.parametrize("command", ["fill", "complete"])
def test_a_project_that_is_no_folder_is_refused(run_cli: RunCli, repository: Path, command: str) -> None:
    outcome = run_cli(command, repository / "a.py", "--project", "missing")
    assert outcome.status == 2
    assert "missing is not a folder" in " ".join(outcome.stderr.split())


def test_projects_are_forgotten_one_by_one_or_all(
    run_cli: RunCli, fill: Fill, repository: Path, tmp_path: Path, project_cache: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "c.py").write_text("y = 1\n")
    for project in (repository, other):
        assert fill("-", "--project", project, stdin=b"x = <FILL>\n").status == 0
    outcome = run_cli("project", "clear", repository)
    assert outcome.status == 0
    assert "deleted 1 index" in outcome.stderr
    assert projects(run_cli) == [str(other)]
    again = run_cli("project", "clear", repository)
    assert again.status == 1
    assert "is not remembered" in again.stderr
    cleared = run_cli("project", "clear", "--all", "--json")
    assert [project["root"] for project in json.loads(cleared.stdout)["projects"]] == [str(other)]
    assert [path.name for path in project_cache.iterdir()] == ["lock"]


@pytest.mark.parametrize("arguments", [[], [".", "--all"]])
def test_clear_needs_a_project_or_all(run_cli: RunCli, arguments: list[str]) -> None:
    outcome = run_cli("project", "clear", *arguments)
    assert outcome.status == 2
    assert "or give --all" in " ".join(outcome.stderr.split())


def test_a_damaged_index_is_shown_and_can_be_cleared(
    run_cli: RunCli, fill: Fill, repository: Path, project_cache: Path
) -> None:
    assert fill(repository / "a.py", "--project", repository).status == 0
    (manifest,) = project_cache.glob("*/manifest.json")
    manifest.write_text("{")
    assert b"damaged" in run_cli("project", "status").stdout
    assert run_cli("project", "clear", "--all").status == 0
    assert "no project is remembered" in run_cli("project", "status").stderr
