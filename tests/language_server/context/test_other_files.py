"""What a model reads of other files: similar, declared, allowed, within the budget, and steady."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from incoder.language_server.context.other_files import Context, OpenFile
from incoder.language_server.context.workspace_files import WorkspaceFiles

SHAPES = """\
import math


def area(radius):
    return math.pi * radius**2


class Circle:
    def __init__(self, radius):
        self.radius = radius

    def scaled(self, factor):
        return Circle(self.radius * factor)

    def _check(self):
        pass
"""
MAIN = "from shapes import area, Circle\n\ntotal = area(1)\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Callable[..., WorkspaceFiles]:
    """A git checkout with these files, listed."""

    def make(**files: str) -> WorkspaceFiles:
        root = tmp_path / "project"
        for name, text in files.items():
            path = root / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        subprocess.run(["git", "init", "--quiet", str(root)], check=True)
        found = WorkspaceFiles([root])
        assert found.refresh() == []
        return found

    return make


def opened(path: Path, text: str, version: int = 1) -> OpenFile:
    return OpenFile(path, version, text.splitlines(keepends=True))


def test_declarations_of_imported_names_are_shown(
    workspace: Callable[..., WorkspaceFiles], tmp_path: Path
) -> None:
    files = workspace(**{"main.py": MAIN, "shapes.py": SHAPES})
    main = opened(tmp_path / "project/main.py", MAIN)
    assert Context(files).files_for(main, 2, []) == {
        "shapes.py": "def area(radius):\nclass Circle:\n    def __init__(self, radius):\n"
        "    def scaled(self, factor):\n"
    }


def test_the_most_similar_part_of_an_open_file_is_shown(
    workspace: Callable[..., WorkspaceFiles], tmp_path: Path
) -> None:
    other = (
        "".join(f"unrelated_{number} = {number}\n" for number in range(100))
        + "def widen(price):\n    price_total = price\n"
    )
    text = "price_total = 0\nfor price in prices:\n    \n"
    files = workspace(**{"main.py": text, "other.py": other, "third.py": "nothing = 1\n"})
    root = tmp_path / "project"
    others = [opened(root / "third.py", "nothing = 1\n"), opened(root / "other.py", other)]
    found = Context(files).files_for(opened(root / "main.py", text), 2, others)
    assert list(found) == ["other.py"]
    assert found["other.py"].endswith("price_total = price\n")
    assert "unrelated_1 =" not in found["other.py"]


def test_the_text_of_the_editor_counts_and_not_the_saved_one(
    workspace: Callable[..., WorkspaceFiles], tmp_path: Path
) -> None:
    files = workspace(**{"main.py": "", "other.py": "saved_price = 1\n"})
    root = tmp_path / "project"
    main = opened(root / "main.py", "price_now = 1\n\n")
    found = Context(files).files_for(main, 1, [opened(root / "other.py", "price_now = 2\n")])
    assert found == {"other.py": "price_now = 2\n"}


def test_recently_edited_files_are_shown_after_they_were_closed(
    workspace: Callable[..., WorkspaceFiles], tmp_path: Path
) -> None:
    files = workspace(**{"main.py": "", "other.py": "saved_price = 1\n"})
    context = Context(files)
    main = opened(tmp_path / "project/main.py", "saved_price = 2\n\n")
    assert context.files_for(main, 1, []) == {}
    context = Context(files)
    context.closed(tmp_path / "project/other.py")
    assert context.files_for(main, 1, []) == {"other.py": "saved_price = 1\n"}


@pytest.mark.parametrize("name", [".env", "secrets.py", "ignored.py", "../outside.py", "link.py"])
def test_no_file_is_shown_that_may_hold_secrets_is_ignored_or_is_outside(
    workspace: Callable[..., WorkspaceFiles], tmp_path: Path, name: str
) -> None:
    text = "secret_price = 1\n"
    outside = tmp_path / "outside.py"
    outside.write_text(text)
    files = workspace(**{"main.py": text, ".gitignore": "ignored.py\n", "ignored.py": text})
    root = tmp_path / "project"
    (root / "link.py").symlink_to(outside)
    if not (root / name).exists():
        (root / name).write_text(text)
    files.refresh()
    context = Context(files)
    context.closed(root / name)
    assert context.files_for(opened(root / "main.py", text + "\n"), 1, [opened(root / name, text)]) == {}
    assert files.text_of(root / name) is None


def test_a_document_outside_of_the_workspace_is_shown_nothing_of_it(
    workspace: Callable[..., WorkspaceFiles], tmp_path: Path
) -> None:
    files = workspace(**{"main.py": MAIN, "shapes.py": SHAPES})
    others = [opened(tmp_path / "project/shapes.py", SHAPES)]
    assert Context(files).files_for(opened(tmp_path / "elsewhere.py", MAIN), 2, others) == {}


def test_keys_in_open_documents_are_not_shown(
    workspace: Callable[..., WorkspaceFiles], tmp_path: Path
) -> None:
    key = "AKIA" + "Q3EGR7PTZWVX2Y4K"
    files = workspace(**{"main.py": "", "other.py": "client_price = 1\n"})
    root = tmp_path / "project"
    other = opened(root / "other.py", f"client_price = '{key}'\n")
    found = Context(files).files_for(opened(root / "main.py", "client_price\n\n"), 1, [other])
    assert "client_price" in found["other.py"]
    assert key not in found["other.py"]


def test_nothing_is_shown_where_it_is_switched_off(
    workspace: Callable[..., WorkspaceFiles], tmp_path: Path
) -> None:
    files = workspace(**{"main.py": MAIN, "shapes.py": SHAPES})
    assert Context(files, max_bytes=0).files_for(opened(tmp_path / "project/main.py", MAIN), 2, []) == {}


@pytest.mark.parametrize("max_bytes", [20, 50, 200, 1000, 3000])
def test_the_budget_holds(workspace: Callable[..., WorkspaceFiles], tmp_path: Path, max_bytes: int) -> None:
    others = {f"other_{number}.py": "price_total = price + tax\n" * 100 for number in range(5)}
    files = workspace(**{"main.py": MAIN, "shapes.py": SHAPES}, **others)
    root = tmp_path / "project"
    main = opened(root / "main.py", MAIN + "price_total = price\n\n")
    found = Context(files, max_bytes).files_for(
        main, 4, [opened(root / name, text) for name, text in others.items()]
    )
    assert sum(len(name.encode()) + len(text.encode()) for name, text in found.items()) <= max_bytes
    assert found or max_bytes < 50


def test_the_shown_text_stays_the_same_while_its_user_types(
    workspace: Callable[..., WorkspaceFiles], tmp_path: Path
) -> None:
    other = "".join(f"name_{number} = {number}\n\n\n" for number in range(60))
    files = workspace(**{"main.py": MAIN, "shapes.py": SHAPES, "other.py": other})
    root = tmp_path / "project"
    others = [opened(root / "other.py", other)]
    context, text = Context(files), MAIN + "name_10 = 1\nname_11\n"
    shown = context.files_for(opened(root / "main.py", text), 4, others)
    for line in range(4, 10):
        text += f"name_{line * 6}\n"
        assert context.files_for(opened(root / "main.py", text, version=line), line, others) == shown


def test_other_text_is_shown_for_another_part_of_the_file(
    workspace: Callable[..., WorkspaceFiles], tmp_path: Path
) -> None:
    other = "".join(f"name_{number} = {number}\n" for number in range(300))
    files = workspace(**{"main.py": "", "other.py": other})
    root = tmp_path / "project"
    text = "name_10\n\n" + "\n" * 60 + "name_250\n\n"
    context, others = Context(files), [opened(root / "other.py", other)]
    assert "name_10 " in context.files_for(opened(root / "main.py", text), 1, others)["other.py"]
    assert "name_250 " in context.files_for(opened(root / "main.py", text), 63, others)["other.py"]


def test_files_that_are_not_listed_any_more_are_not_shown(
    workspace: Callable[..., WorkspaceFiles], tmp_path: Path
) -> None:
    files = workspace(**{"main.py": MAIN, "shapes.py": SHAPES})
    (tmp_path / "project/shapes.py").unlink()
    assert files.text_of(tmp_path / "project/shapes.py") is None
    files.refresh()
    assert files.name_of(tmp_path / "project/shapes.py") is None


def test_a_folder_that_git_cannot_list_has_no_files(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    (tmp_path / "main.py").write_text(MAIN)
    files = WorkspaceFiles([tmp_path])
    assert len(files.refresh()) == 1
    assert list(files) == []


def test_choosing_takes_milliseconds(workspace: Callable[..., WorkspaceFiles], tmp_path: Path) -> None:
    others = {
        f"other_{number}.py": "".join(
            f"value_{line} = compute_{line}(number_{number})\n" for line in range(1000)
        )
        for number in range(3)
    }
    files = workspace(**{"main.py": MAIN}, **others)
    root = tmp_path / "project"
    opened_files = [opened(root / name, text) for name, text in others.items()]
    context, main = Context(files), opened(root / "main.py", "value_500 = compute_500(number_1)\n" * 1000)
    context.files_for(main, 500, opened_files)
    start = time.perf_counter()
    for line in range(500, 510):
        context.files_for(main, line, opened_files)
    assert time.perf_counter() - start < 0.1
