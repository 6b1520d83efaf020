"""The commands on README and the pages in docs/ exist; those for which `mini` is enough run as written."""

import contextlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from markdown_it import MarkdownIt

from incoder.cli.commands import app
from incoder.embedded_models import embedded_models

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "recipes" / "README.md"]
OPERATORS = {"|", ">", "2>", ";", "&&"}
WRITING = {"fill", "complete", "docstring", "types", "rename", "fix", "edit", "ask", "attributes"}


@dataclass(frozen=True)
class Line:
    """A line of a page's code block that calls incoder, `words` from there on."""

    page: str
    text: str
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        return self.words[1] if len(self.words) > 1 else ""

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def lines() -> Iterator[Line]:
    for page in PAGES:
        for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
            if token.type == "fence" and token.info in ("", "sh"):
                yield from _lines_of(page.name, token.content.replace("\\\n", " "))


def _lines_of(page: str, block: str) -> Iterator[Line]:
    for text in block.splitlines():
        with contextlib.suppress(ValueError):  # no shell, such as a diff with one quote
            words = shlex.split(text, comments=True)
            if "incoder" in words:
                called = words[words.index("incoder") :]
                end = next((number for number, word in enumerate(called) if word in OPERATORS), len(called))
                if "…" not in text and "BENCHMARK" not in called[:end]:
                    yield Line(page, text, tuple(called[:end]))


ALL = list(dict.fromkeys(lines()))


def test_there_are_commands_on_the_pages() -> None:
    assert len(ALL) > 40
    assert {"README.md", "editing.md", "corpus.md"} <= {line.page for line in ALL}


def _leaf(words: tuple[str, ...]) -> tuple[Any, list[str]]:
    command: Any = typer.main.get_command(app)
    rest = list(words[1:])
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    return command, rest


@pytest.mark.parametrize("line", ALL, ids=str)
def test_every_command_exists_with_its_options(line: Line) -> None:
    command, rest = _leaf(line.words)
    assert not hasattr(command, "commands") or not rest or rest[0].startswith("-"), f"no command {rest[0]}"
    parser = command.make_parser(command.make_context("incoder", list(rest), resilient_parsing=True))
    _, left, _ = parser.parse_args(list(rest))
    assert not [word for word in left if word.startswith("--")]


@pytest.mark.parametrize("line", ALL, ids=str)
def test_every_file_that_a_command_reads_is_in_the_repository_or_made_by_another(line: Line) -> None:
    made = {word for other in ALL for word in other.words if word.startswith(("runs/", "ours"))}
    for word in line.words[1:]:
        if re.fullmatch(r"(recipes|examples|docs|src|tests)/[\w./-]+", word):
            assert (ROOT / word).exists(), word
        elif re.fullmatch(r"[\w-]+\.(py|js|ts|toml)", word):
            assert word in made, f"{word} is no file of the repository"


@pytest.mark.skipif("mini" not in embedded_models(), reason="no model is embedded")
@pytest.mark.parametrize(
    "line",
    [line for line in ALL if line.command in WRITING and not {"--model", "--adapter"} & {*line.words}],
    ids=str,
)
def test_commands_for_which_mini_is_enough_run_as_written(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "src" / "incoder").mkdir(parents=True)
    shutil.copy(ROOT / "src" / "incoder" / "tags.py", tmp_path / "src" / "incoder")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "XDG_CACHE_HOME", str(tmp_path / "cache")
    )  # incoder fill --project stores its index there
    if line.text.lstrip().startswith("incoder "):
        typer.main.get_command(app)(list(line.words[1:]), prog_name="incoder", standalone_mode=False)
        return
    python = f"{shlex.quote(sys.executable)} -c 'from incoder.cli.main import main; main()'"
    script = f'incoder() {{ {python} "$@"; }}\n{line.text}'
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def python_examples(page: Path) -> str:
    """The Python blocks of a page as one module; `model` is a loaded one even before the page loads it."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return "\n".join(['import incoder\n\nmodel = incoder.load("mini")', *blocks]) if blocks else ""


def test_every_python_example_is_typed_as_mypy_strict_wants_it(tmp_path: Path) -> None:
    """All pages in one run; what `make lint` has checked is in mypy's cache already."""
    files = []
    for page in sorted({*PAGES, *ROOT.glob("integrations/*/*.md"), *ROOT.glob("*.md")}):
        if example := python_examples(page):
            files.append(tmp_path / f"{page.parent.name.replace('-', '_')}_{page.stem.lower()}.py")
            files[-1].write_text(example, encoding="utf-8")
    assert len(files) >= 4
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", *map(str, files)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
