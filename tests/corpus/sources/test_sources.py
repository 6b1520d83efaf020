import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import Report
from incoder.corpus.sources.exclusions import bare_name
from incoder.corpus.sources.listing import list_files
from incoder.corpus.sources.reading import read_files
from incoder.corpus.sources.source_file import Dropped, SourceFile, drawing_key, within_budget
from incoder.errors import IncoderError

WriteFiles = Callable[..., Path]
MakeRecipe = Callable[..., CorpusRecipe]


def listed(recipe: CorpusRecipe, report: Report | None = None) -> list[tuple[str, str]]:
    return [(file.project, file.path) for file in list_files(recipe, (report or Report()).on_drop)]


def of_source(**source: object) -> CorpusRecipe:
    return CorpusRecipe.model_validate({"sources": [source]})


def test_a_folder_is_walked_in_order_without_hidden_files(write_files: WriteFiles) -> None:
    root = write_files(dict.fromkeys(["b.py", "a/c.PY", "a/x.txt", ".git/x.py", ".x.py", "z/no"], "x"))
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "b.py").write_text("x")
    assert listed(of_source(kind="folder", path=str(root))) == [("source", "a/c.PY"), ("source", "b.py")]


def test_entries_of_a_folder_can_be_its_projects(write_files: WriteFiles, recipe: MakeRecipe) -> None:
    write_files({"one/a.py": "x", "one/b/c.py": "x", "two.py": "x"})
    assert listed(recipe()) == [("one", "one/a.py"), ("one", "one/b/c.py"), ("two", "two.py")]


def test_links_are_not_followed(write_files: WriteFiles, recipe: MakeRecipe, tmp_path: Path) -> None:
    root = write_files({"p/a.py": "x = 1"})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.py").write_text("x = 2")
    (root / "p" / "link.py").symlink_to(tmp_path / "elsewhere" / "secret.py")
    (root / "p" / "folder").symlink_to(tmp_path / "elsewhere")
    (root / "p" / "loop").symlink_to(root)
    report = Report()
    documents = list(read_files(list_files(recipe(), report.on_drop), recipe(), report.on_drop))
    assert [document.path for document in documents] == ["p/a.py"]
    assert report.dropped["not a regular file"].examples == [("p", "p/link.py")]


def test_an_unreadable_folder_is_reported(
    write_files: WriteFiles, recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_files({"p/a.py": "x", "q/b.py": "x"})
    scandir = os.scandir

    def refusing(path: str) -> object:
        if path == str(root / "q"):
            raise PermissionError(13, "Permission denied", path)  # what root never sees
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    report = Report()
    assert listed(recipe(), report) == [("p", "p/a.py")]
    assert report.dropped["unreadable folder"].examples == [("source", "q")]


def test_patterns_and_projects_are_excluded_with_the_reason(
    write_files: WriteFiles, recipe: MakeRecipe
) -> None:
    write_files({"p/_vendor/x/a.py": "x", "p/b.py": "x", "Flask/c.py": "x", "_vendor/d.py": "x"})
    report = Report()
    chosen = recipe(exclude=["*/_vendor/*"], exclude_projects=["flask"])
    assert listed(chosen, report) == [("p", "p/b.py")]
    assert report.dropped["excluded project"].examples == [("Flask", "Flask/c.py")]
    assert report.dropped["excluded path"].num_files == 2


@pytest.mark.parametrize("kind", ["folder", "git", "packages"])
def test_a_missing_folder_is_an_error_that_names_it(kind: str, tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="nothing-here"):
        listed(of_source(kind=kind, path=str(tmp_path / "nothing-here")))


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(IncoderError, match="a file"):
        listed(of_source(kind="folder", path=str(tmp_path / "file")))


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=n", "-c", "user.email=e")
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("remote", "project"),
    [
        ("https://github.com/owner/name.git", "owner/name"),
        ("git@gitlab.com:owner/name", "owner/name"),
        ("https://gitlab.com/group/owner/name/", "owner/name"),
        (None, "source"),
    ],
)
def test_a_checkout_gives_its_tracked_files(
    write_files: WriteFiles, remote: str | None, project: str
) -> None:
    root = write_files({"a.py": "x", "b/naïve name.py": "x", "untracked.py": "x", "c.txt": "x"})
    git(root, "init", "-q")
    git(root, "add", "a.py", "b", "c.txt")
    if remote:
        git(root, "remote", "add", "origin", remote)
    assert listed(of_source(kind="git", path=str(root))) == [(project, "a.py"), (project, "b/naïve name.py")]


def test_a_checkout_is_read_whatever_checkout_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.py").write_text("x")
        for arguments in (["init", "-q"], ["add", "."]):
            subprocess.run(["git", "-C", str(tmp_path / name), *arguments], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    found = listed(of_source(kind="git", path=str(tmp_path / "one")))
    assert found == [("one", "one.py")]


def test_a_folder_without_git_is_no_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(IncoderError, match="must be a git checkout"):
        listed(of_source(kind="git", path=str(tmp_path)))


def test_the_standard_library_comes_by_module_with_its_licence() -> None:
    files = list(list_files(of_source(kind="standard-library"), Report().on_drop))
    by_path = {file.path: file for file in files}
    assert by_path["argparse.py"].project == "python/argparse"
    assert by_path["json/decoder.py"].project == "python/json"
    assert by_path["argparse.py"].licence == "PSF-2.0"
    assert not any("site-packages" in file.path for file in files)


def test_bare_names_lose_the_owner_and_the_case() -> None:
    assert bare_name("Owner/Name") == bare_name("name") == "name"


def files_of_sizes(*sizes: int) -> list[SourceFile]:
    return [SourceFile(f"p{i % 2}", f"{i}.py", "folder", Path(), size) for i, size in enumerate(sizes)]


def test_a_budget_is_kept_and_the_rest_reported() -> None:
    files, dropped = files_of_sizes(*[10] * 40), list[object]()
    files.sort(key=lambda file: drawing_key(1, file))
    kept = list(within_budget(files, max_bytes=180, max_project_bytes=100, on_drop=dropped.append))
    sizes = {project: sum(f.num_bytes for f in kept if f.project == project) for project in ("p0", "p1")}
    assert sum(sizes.values()) == 180
    assert max(sizes.values()) <= 100
    reasons = {drop.reason for drop in dropped if isinstance(drop, Dropped)}
    assert reasons == {"over max_bytes", "over max_project_bytes"}
    assert len(kept) + len(dropped) == 40


def test_the_sample_depends_on_the_seed_and_not_on_the_order() -> None:
    def sample(files: list[SourceFile], seed: int) -> set[str]:
        files = sorted(files, key=lambda file: drawing_key(seed, file))
        kept = within_budget(files, max_bytes=100, max_project_bytes=None, on_drop=lambda _: None)
        return {file.path for file in kept}

    files = files_of_sizes(*[10] * 40)
    assert sample(files, 1) == sample(files[::-1], 1) != sample(files, 2)
