"""Git checkouts as sources: what git ignores, environments and build folders stay out."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import Report
from incoder.corpus.sources.listing import list_files
from incoder.corpus.sources.source_file import SourceFile
from incoder.errors import IncoderError

WriteFiles = Callable[..., Path]


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main")
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


def make_checkout(folder: Path, *tracked: str) -> None:
    git(folder, "init", "--quiet")
    git(folder, "add", "--force", *tracked)
    git(folder, "commit", "--quiet", "-m", "m")


def listed(report: Report | None = None, **source: object) -> list[SourceFile]:
    recipe = CorpusRecipe.model_validate({"sources": [source]})
    return list(list_files(recipe, (report or Report()).on_drop))


def paths(files: list[SourceFile]) -> list[str]:
    return [file.path for file in files]


@pytest.fixture
def checkouts(write_files: WriteFiles) -> Path:
    """A folder with one checkout, beside a plain folder and an environment."""
    root = write_files(
        {
            "app/src/main.py": "x",
            "app/new.py": "x",  # neither tracked nor ignored
            "app/.gitignore": "secret.py\nvenv/\n/dist/\n",
            "app/secret.py": "x",
            "app/venv/lib/a.py": "x",
            "app/dist/main.py": "x",
            "app/build/tracked.py": "x",
            "app/build/lib/main.py": "x",
            "plain/a.py": "x",
            "plain/build/a.py": "x",
            "plain/pkg.egg-info/a.py": "x",
            "plain/my-env/pyvenv.cfg": "",
            "plain/my-env/lib/b.py": "x",
            "plain/conda/conda-meta/history": "",
            "plain/conda/lib/c.py": "x",
        }
    )
    make_checkout(root / "app", "src", ".gitignore", "build/tracked.py")
    return root


def test_what_git_ignores_stays_out_of_a_folder(checkouts: Path) -> None:
    report = Report()
    files = listed(report, kind="folder", path=str(checkouts), projects="entries")
    assert paths(files) == ["app/build/tracked.py", "app/new.py", "app/src/main.py", "plain/a.py"]
    assert {example[1] for example in report.dropped["build folder"].examples} == {
        "app/build",
        "plain/build",
        "plain/pkg.egg-info",
    }
    assert report.dropped["environment"].examples == [("plain", "plain/conda"), ("plain", "plain/my-env")]
    assert set(report.dropped["ignored by git"].examples) == {
        ("app", "app/dist"),
        ("app", "app/secret.py"),
        ("app", "app/venv"),
    }


def test_skipped_folders_can_be_named(checkouts: Path) -> None:
    files = listed(kind="folder", path=str(checkouts / "plain"), skipped_folders=["*.egg-info"])
    assert paths(files) == ["a.py", "build/a.py"]


def test_a_folder_inside_a_checkout_obeys_its_git(checkouts: Path) -> None:
    assert paths(listed(kind="folder", path=str(checkouts / "app" / "src"))) == ["main.py"]
    ignored = listed(kind="folder", path=str(checkouts / "app" / "dist"))
    assert paths(ignored) == ["main.py"]  # it was asked for by its name


def test_a_checkout_inside_a_checkout_is_read_as_one(checkouts: Path, write_files: WriteFiles) -> None:
    write_files({"app/inner/b.py": "x", "app/inner/.gitignore": "c.py", "app/inner/c.py": "x"})
    make_checkout(checkouts / "app" / "inner", "b.py")
    files = paths(listed(kind="folder", path=str(checkouts / "app")))
    assert "inner/b.py" in files
    assert "inner/c.py" not in files


def test_a_checkout_that_git_cannot_read_is_left_out(write_files: WriteFiles) -> None:
    root = write_files({"a/.git/HEAD": "nonsense", "a/secret.py": "x", "b/b.py": "x"})
    report = Report()
    assert paths(listed(report, kind="folder", path=str(root), projects="entries")) == ["b/b.py"]
    assert report.dropped["unreadable checkout"].examples == [("a", "a")]


def test_each_checkout_in_a_folder_can_be_a_project(checkouts: Path) -> None:
    git(checkouts / "app", "remote", "add", "origin", "git@example.com:owner/app.git")
    report = Report()
    stars = {"owner/app": 7}
    files = listed(report, kind="git", path=str(checkouts), projects="entries", source="github", stars=stars)
    assert [(file.project, file.path, file.source, file.stars) for file in files] == [
        ("owner/app", "build/tracked.py", "github", 7),
        ("owner/app", "src/main.py", "github", 7),
    ]
    assert report.dropped["no git checkout"].examples == [("plain", "plain")]


def test_a_folder_without_checkouts_and_a_bare_repository_are_errors(checkouts: Path, tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="none of its entries"):
        listed(kind="git", path=str(checkouts / "plain"), projects="entries")
    git(tmp_path, "clone", "--bare", "--quiet", str(checkouts / "app"), "bare.git")
    with pytest.raises(IncoderError, match=r"bare repository.*git clone"):
        listed(kind="git", path=str(tmp_path / "bare.git"))


def test_files_that_are_not_checked_out_are_counted(checkouts: Path) -> None:
    (checkouts / "app" / "src" / "main.py").unlink()
    report = Report()
    assert paths(listed(report, kind="git", path=str(checkouts / "app"))) == ["build/tracked.py"]
    assert report.dropped["not checked out"].num_files == 1


def test_files_of_other_languages_are_counted(write_files: WriteFiles) -> None:
    root = write_files(dict.fromkeys(["a.py", "b.rs", "c.rs", "d.go", "e.txt", "README"], "x"))
    report = Report()
    listed(report, kind="folder", path=str(root))
    assert report.other_files == {"source": {".rs": 2, ".go": 1}}
