"""The other files of a project, and a rename that looks at them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from incoder.cli import project_files
from incoder.cli.project_files import other_files

RunCli = Callable[..., Any]


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"# {name}\n")


def names_of(root: Path, file: str) -> set[str]:
    found, _ = other_files(root / file)
    return {text[2:-1] for text in found.values()}


def test_a_project_is_what_its_settings_lie_beside(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", "pkg/a.py", "pkg/b.py", "tests/c.py", "README.md", ".hidden/d.py")
    write(tmp_path, "env/pyvenv.cfg", "env/lib/e.py", "node_modules/f.py")
    assert names_of(tmp_path, "pkg/a.py") == {"pyproject.toml", "pkg/b.py", "tests/c.py"}


def test_without_a_project_only_the_files_beside_it_are_read(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "b.py", "deep/c.py")
    assert names_of(tmp_path, "a.py") == {"b.py"}


def test_a_large_project_is_not_read_whole_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project_files, "MAX_FILES", 2)
    write(tmp_path, "a.py", "b.py", "c.py", "d.py")
    found, are_all = other_files(tmp_path / "a.py")
    assert (len(found), are_all) == (2, False)


def test_a_variable_that_another_file_imports_is_renamed_only_by_force(
    tmp_path: Path, run_cli: RunCli
) -> None:
    (tmp_path / "shapes.py").write_text("old = 1\n")
    (tmp_path / "user.py").write_text("from shapes import old\n")
    outcome = run_cli("rename", tmp_path / "shapes.py", "old", "--to", "new")
    assert (outcome.status, outcome.stdout) == (1, b"")
    assert "user.py uses it (its line 1); --force" in outcome.stderr
    outcome = run_cli("rename", tmp_path / "shapes.py", "old", "--to", "new", "--force")
    assert (outcome.status, outcome.stdout) == (0, b"new = 1\n")
    (tmp_path / "user.py").write_text("import shapes\n")
    assert run_cli("rename", tmp_path / "shapes.py", "old", "--to", "new").status == 0
