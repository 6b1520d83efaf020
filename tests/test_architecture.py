"""ARCHITECTURE.md's tree is the tree, and the commands that the pages show are there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("recipes/*.md"))]
NOT_OURS = {"runs", "build", "dist"}  # made by running things, ignored by git
CAPTIONED = ("src/incoder/**/*.py", "benchmarks/*.py", "docs/*", "examples/*", "recipes/*", "tests/*/", "*")


def code_blocks(page: Path) -> Iterator[str]:
    yield from re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def captions() -> dict[str, str]:
    """The tree of ARCHITECTURE.md: two spaces a level, folders end in a slash, then the caption."""
    tree = next(block for block in code_blocks(ROOT / "ARCHITECTURE.md") if "src/incoder/" in block)
    found: dict[str, str] = {}
    folders: list[str] = []
    for line in tree.splitlines():
        matched = re.fullmatch(r"( *)(\S+)(?: {2,}(.+))?", line)
        assert matched, f"not a line of the tree: {line!r}"
        indent, name, caption = matched.groups()
        assert len(indent) % 2 == 0
        assert len(indent) // 2 <= len(folders), f"indented too far: {line!r}"
        folders = folders[: len(indent) // 2]
        found["".join(folders) + name] = caption or ""
        if name.endswith("/"):
            folders.append(name)
    return found


def is_ours(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return parts[0] not in NOT_OURS and not any(part.startswith((".", "__")) for part in parts)


def as_listed(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() + ("/" if path.is_dir() else "")


def test_every_file_and_folder_is_in_the_tree() -> None:
    listed = captions()
    there = {path for pattern in CAPTIONED for path in ROOT.glob(pattern) if is_ours(path)}
    there |= {path.parent for path in ROOT.glob("src/incoder/*/__init__.py")}
    missing = {as_listed(path) for path in there} - listed.keys()
    assert not missing, f"ARCHITECTURE.md has no line for {', '.join(sorted(missing))}"


def test_everything_in_the_tree_is_there_and_has_a_caption() -> None:
    for name, caption in captions().items():
        path = ROOT / name
        assert path.is_dir() if name.endswith("/") else path.is_file(), f"ARCHITECTURE.md lists {name}"
        assert caption, f"{name} has no caption in ARCHITECTURE.md"


def test_tests_mirror_the_rooms() -> None:
    rooms = {path.parent.name for path in ROOT.glob("src/incoder/*/__init__.py")}
    tested = {path.parent.name for path in ROOT.glob("tests/*/*.py")}
    assert tested <= rooms, f"no room is called {', '.join(sorted(tested - rooms))}"


@pytest.mark.parametrize("page", PAGES, ids=as_listed)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=as_listed)
def test_commands_on_the_pages_are_there_with_their_options(page: Path) -> None:
    for line in "".join(code_blocks(page)).replace("\\\n", " ").splitlines():
        for command in re.findall(r"(?:^|\| *)(?:\.venv/bin/)?incoder (.*?)(?: \|.*| > .*)?$", line):
            words = shlex.split(command, comments=True)
            known = known_options(words)
            used = {word.partition("=")[0] for word in words if re.match("--?[A-Za-z]", word)}
            assert used <= known, f"{page.name}: incoder {command}: no option {', '.join(used - known)}"


@pytest.mark.parametrize("page", PAGES, ids=as_listed)
def test_make_targets_on_the_pages_are_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    used = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert used <= targets, f"{page.name}: no target {', '.join(used - targets)}"


def known_options(words: list[str]) -> set[str]:
    """The options of the (sub)command that `words` begins with."""
    from incoder.cli.commands import app

    command = typer.main.get_command(app)
    for word in words:
        commands = getattr(command, "commands", None)
        if commands is None:
            break
        assert word in commands, f"incoder has no command {word}"
        command = commands[word]
    return {option for parameter in command.params for option in parameter.opts}


def test_the_example_in_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    if not (ROOT / "src/incoder/embedded/mini/model.safetensors").exists():
        pytest.skip("no model is embedded yet")
    (example,) = (block for block in code_blocks(ROOT / "README.md") if block.startswith("import incoder"))
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("def mean(xs):\n    return ")
