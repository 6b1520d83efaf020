"""Which files of a project are remembered."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from incoder.errors import IncoderError
from incoder.file_listing import GitFolder
from incoder.inference.memory import source_files
from incoder.inference.memory.source_files import list_source_files, may_be_remembered, read_text

CODE = "def f(x):\n    return x\n"


def make(folder: Path, *names: str, content: str = CODE) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True)


def found(folder: Path) -> list[str]:
    return [file.path for file in list_source_files(folder)]


@pytest.fixture(params=["checkout", "folder"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder of a project, in git and outside of it."""
    if request.param == "checkout":
        git(tmp_path, "init")
    return tmp_path


def test_source_code_is_found_and_other_files_are_not(project: Path) -> None:
    make(project, "a.py", "in/b.ts", "README.md", "data.json", "notebook.ipynb", ".hidden/c.py")
    make(project, "empty.py", content="")
    (project / "link.py").symlink_to(project / "a.py")
    assert found(project) == ["a.py", "in/b.ts"]


def test_an_ignore_file_is_read_as_git_reads_it(project: Path) -> None:
    make(project, "a.py", "private/b.py", "in/c_generated.py", "in/kept_generated.py", "other/d.py")
    make(project, ".incoderignore", content="/private/\n*_generated.py\n!kept_generated.py\n")
    make(project, "other/.incoderignore", content="d.*\n")
    assert found(project) == ["a.py", "in/kept_generated.py"]


@pytest.mark.parametrize("most", [0, 20_000], ids=["many new files", "few new files"])
def test_new_files_are_found_alike_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(source_files, "_MAX_NAMED", most)
    git(tmp_path, "init")
    make(tmp_path, "a.py", "private/deep/b.py", "odd[*].py", ":(top).py", "-x.py", "in/c.py", "hidden.py")
    make(tmp_path, ".incoderignore", content="private/\nc.*\n")
    make(tmp_path, ".gitignore", content="hidden.py\n")
    assert found(tmp_path) == ["-x.py", ":(top).py", "a.py", "odd[*].py"]


def test_a_folder_of_a_checkout_obeys_the_ignore_files_above_it(tmp_path: Path) -> None:
    git(tmp_path, "init")
    make(tmp_path, "in/a.py", "in/private.py", "in/new_private.py", "out.py")
    make(tmp_path, ".incoderignore", content="*private.py\n")
    git(tmp_path, "add", "in/a.py", "in/private.py")
    assert found(tmp_path / "in") == ["a.py"]


def test_nothing_is_found_if_git_cannot_say_what_an_ignore_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init")
    make(tmp_path, "private.py")
    make(tmp_path, ".incoderignore", content="private.py\n")
    listed = GitFolder.listed

    def fails_for_ignored(folder: GitFolder, *arguments: str, **options: Any) -> Any:
        return None if "--ignored" in arguments else listed(folder, *arguments, **options)

    monkeypatch.setattr(GitFolder, "listed", fails_for_ignored)
    with pytest.raises(IncoderError, match="git cannot list the files"):
        found(tmp_path)


def test_an_ignore_file_holds_for_tracked_files_too(tmp_path: Path) -> None:
    git(tmp_path, "init")
    make(tmp_path, "a.py", "private/b.py")
    make(tmp_path, ".incoderignore", content="private\n")
    git(tmp_path, "add", "a.py", "private/b.py")
    assert found(tmp_path) == ["a.py"]


def test_what_git_ignores_is_not_found(tmp_path: Path) -> None:
    git(tmp_path, "init")
    make(tmp_path, "tracked.py", "new.py", "ignored.py", "deleted.py")
    (tmp_path / ".gitignore").write_text("ignored.py\n")
    git(tmp_path, "add", "tracked.py", "deleted.py")
    (tmp_path / "deleted.py").unlink()
    assert found(tmp_path) == ["new.py", "tracked.py"]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "secrets.py",
            "in/credentials.js",
            "aws_credentials.py",
            "password.rb",
            "api_keys.go",
            "local_settings.py",
        ),
        *(".env.py", "id_rsa.py", "private-key.ts", ".aws/config.py", "my.secret.py", "secrets.local.py"),
    ],
)
def test_files_of_secrets_are_never_found(project: Path, name: str) -> None:
    make(project, name, "a.py")
    if (project / ".git").exists():
        git(project, "add", "--all", "--force")
    assert found(project) == ["a.py"]


@pytest.mark.parametrize("name", ["password_validation.py", "tokens.py", "keyboard.py", "secretary.py"])
def test_names_that_only_resemble_those_of_secrets_are_found(name: str) -> None:
    assert may_be_remembered(name)


@pytest.mark.parametrize(
    "name",
    [
        *("vendor/a.js", "node_modules/m/a.js", "lib.min.js", "build/a.py", "dist/a.py", "_build/a.py"),
        *("target/a.rs", "venv/lib/a.py", ".venv/lib/a.py", "site-packages/a.py", "__pycache__/a.py"),
    ],
)
def test_vendored_built_and_minified_files_are_not_found(project: Path, name: str) -> None:
    make(project, name, "a.py")
    assert found(project) == ["a.py"]


def test_an_environment_is_known_by_its_mark(project: Path) -> None:
    make(project, "tools/lib/a.py", "tools/pyvenv.cfg", "b.py")
    assert found(project) == ["b.py"]


def test_a_folder_that_git_tracks_may_be_called_build(tmp_path: Path) -> None:
    git(tmp_path, "init")
    make(tmp_path, "build/a.py", "dist/a.js")
    git(tmp_path, "add", "--all")
    assert found(tmp_path) == ["build/a.py"]


@pytest.mark.parametrize(
    "content",
    [
        "# Generated by the protocol buffer compiler.  DO NOT EDIT!\n" + CODE,
        "// Code generated by stringer. DO NOT EDIT.\n" + CODE,
        "x = '" + 1100 * "a" + "'\n",
        ("var a=1;" * 30 + "\n") * 5,
        "binary \0 content",
    ],
)
def test_generated_minified_and_binary_content_is_not_read(tmp_path: Path, content: str) -> None:
    make(tmp_path, "a.py", content=content)
    assert read_text(tmp_path / "a.py") is None


def test_keys_in_code_are_cut_out(tmp_path: Path) -> None:
    key = "AKIA" + "IOSFODNN7EXAMPLE"
    make(tmp_path, "a.py", content=f"client = connect('{key}')\n")
    text = read_text(tmp_path / "a.py")
    assert text is not None
    assert key not in text
    assert text.startswith("client = connect(")


def test_bytes_that_are_not_utf_8_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"name = '\xe9'\n")
    assert read_text(tmp_path / "a.py") == "name = '\udce9'\n"


def test_a_large_file_is_not_found(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_files, "MAX_FILE_BYTES", 50)
    make(project, "small.py")
    make(project, "large.py", content=CODE * 10)
    assert found(project) == ["small.py"]


def test_a_repository_that_git_cannot_list_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init")
    make(tmp_path, "a.py")
    (tmp_path / ".git" / "HEAD").write_text("damaged")
    with pytest.raises(IncoderError, match="git cannot list"):
        found(tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(IncoderError, match="git cannot list"):
        found(tmp_path)


def test_without_git_a_folder_with_an_ignore_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a.py")
    monkeypatch.setenv("PATH", "")
    assert found(tmp_path) == ["a.py"]
    make(tmp_path, ".incoderignore", content="b.py\n")
    with pytest.raises(IncoderError, match="install git"):
        found(tmp_path)


def test_a_checkouts_settings_run_nothing_and_another_checkout_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init")
    make(tmp_path, "a.py")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "config", "core.fsmonitor", f"touch {tmp_path / 'ran'}; false")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert found(tmp_path) == ["a.py"]
    assert not (tmp_path / "ran").exists()


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="is not a folder"):
        found(tmp_path / "missing")
