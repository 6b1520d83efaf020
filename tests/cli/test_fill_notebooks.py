"""`incoder fill` on notebooks: only the holes in cells change, and the result is a notebook."""

import json
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from incoder.cli.holed_file import read_holed

RunCli = Callable[..., Any]
Fill = Callable[..., Any]

CODE = "def größe(xs):\n    return <FILL>\n\n<FILL>"


@pytest.fixture
def fill(run_cli: RunCli, tiny_checkpoint: Path) -> Fill:
    def run(*arguments: str | Path, stdin: bytes = b"") -> Any:
        settings = ("--model", tiny_checkpoint, "--max-new-tokens", "4", "--temperature", "2")
        return run_cli("fill", *arguments, *settings, stdin=stdin)

    return run


@pytest.fixture
def notebook() -> Any:
    """Holes in a Markdown and a code cell, and markers where there are no holes."""
    output = nbformat.v4.new_output("stream", text="printed <FILL>\n")
    return nbformat.v4.new_notebook(
        metadata={"title": "<FILL>", "kernelspec": {"name": "x", "display_name": "x", "language": "python"}},
        cells=[
            nbformat.v4.new_markdown_cell("# Sums\nThe <FILL> of numbers"),
            nbformat.v4.new_code_cell("%matplotlib inline\nimport math\n!ls 'x"),
            nbformat.v4.new_code_cell(CODE, outputs=[output], execution_count=7),
        ],
    )


@pytest.fixture
def file(notebook: Any, tmp_path: Path) -> Path:
    path = tmp_path / "sums.ipynb"
    nbformat.write(notebook, path)
    return path


def assert_only_cells_changed(before: Any, after: bytes) -> Any:
    read = nbformat.reads(after.decode(), as_version=4)
    nbformat.validate(read)
    for old, new in zip(before.cells, read.cells, strict=True):
        pattern = ".*".join(map(re.escape, old.source.split("<FILL>")))
        assert re.fullmatch(pattern, new.source, re.DOTALL)
        assert {**old, "source": ""} == {**new, "source": ""}
    assert read.metadata == before.metadata
    return read


def test_holes_in_cells_are_filled_and_all_else_stays(fill: Fill, file: Path, notebook: Any) -> None:
    before = file.read_bytes()
    printed = fill(file)
    assert printed.status == 0, printed.stderr
    read = assert_only_cells_changed(notebook, printed.stdout)
    assert "<FILL>" not in "".join(cell.source for cell in read.cells)
    assert printed.stdout.count(b"<FILL>") == 2  # in the output and the metadata
    assert file.read_bytes() == before
    written = fill(file, "--in-place")
    assert (written.status, written.stderr.splitlines()[-1]) == (0, f"{file}: 3 written")
    assert file.read_bytes() == printed.stdout


def test_a_notebook_on_standard_input_is_filled_too(fill: Fill, file: Path, notebook: Any) -> None:
    printed = fill("-", stdin=file.read_bytes())
    assert printed.status == 0, printed.stderr
    assert_only_cells_changed(notebook, printed.stdout)


def test_every_candidate_in_json_is_a_notebook(fill: Fill, file: Path, notebook: Any) -> None:
    answer = json.loads(fill(file, "--json", "-n", "3").stdout)
    assert len(answer["candidates"]) == 3
    for candidate in answer["candidates"]:
        read = assert_only_cells_changed(notebook, candidate["text"].encode())
        assert read.cells[2].source == CODE.replace("<FILL>", "{}").format(*candidate["infills"][1:])
    assert answer["text"] == answer["candidates"][0]["text"]


def test_the_model_reads_the_cells_before_and_after_as_a_script(fill: Fill, file: Path) -> None:
    shown = fill(file, "--show-prompt", "--no-token-healing")
    assert shown.status == 0
    prompt = shown.stdout.decode()
    assert prompt.startswith("<|endoftext|><| file ext=.py |>\n# # Sums\n# The <|mask:0|>")
    assert "\n\n# %matplotlib inline\nimport math\n# !ls 'x\n\ndef größe(xs):" in prompt


def test_another_notebook_can_be_context(fill: Fill, file: Path, tmp_path: Path) -> None:
    code = tmp_path / "main.py"
    code.write_text("x = <FILL>\n")
    shown = fill(code, "--context", file, "--show-prompt")
    assert "# # Sums" in shown.stdout.decode()
    assert "cell_type" not in shown.stdout.decode()


def test_a_marker_outside_the_cells_is_no_hole(fill: Fill, file: Path, notebook: Any) -> None:
    notebook.cells = notebook.cells[1:2]
    nbformat.write(notebook, file)
    alone = fill(file)
    assert (alone.status, alone.stdout) == (1, b"")
    assert f"{file} has no hole in its cells; mark where code is missing with <FILL>" in alone.stderr
    among_others = fill(file.parent, "--diff")
    assert (among_others.status, among_others.stdout) == (0, b"")
    assert "nothing to do: there is no <FILL> in its cells" in among_others.stderr


def test_a_notebook_in_a_folder_is_found_however_its_marker_is_written(fill: Fill, file: Path) -> None:
    file.write_text(file.read_text().replace("<FILL>", r"\u003cFILL\u003e"))
    outcome = fill(file.parent, "--in-place")
    assert outcome.status == 0
    assert outcome.stderr.splitlines()[-1] == "1 file: 1 changed, 0 unchanged; 3 written"


def test_holes_without_time_keep_their_markers(fill: Fill, file: Path) -> None:
    before = file.read_bytes()
    outcome = fill(file, "--in-place", "--time-limit", "1e-9")
    assert outcome.stderr.splitlines()[-1] == f"{file}: 0 written, 3 left: the time was up"
    assert file.read_bytes() == before


def test_a_notebook_is_not_streamed(fill: Fill, file: Path) -> None:
    outcome = fill(file, "--stream", "-n", "1")
    assert (outcome.status, outcome.stdout) == (1, b"")
    assert "is a notebook, whose JSON is written whole; leave out --stream" in outcome.stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"cells": [,], "nbformat": 4}', "line 1, column 12: cell 1 must be an object"),
        (b'{"worksheets": [], "nbformat": 3}', "it is in nbformat 3, and only 4 is supported"),
        (b"", "line 1, column 1: { is missing"),
        (b"x = <FILL>\n", "line 1, column 1: { is missing"),
    ],
)
def test_what_is_no_notebook_is_refused_and_stays(
    content: bytes, reason: str, fill: Fill, file: Path
) -> None:
    file.write_bytes(content)
    outcome = fill(file, "--in-place")
    assert (outcome.status, outcome.stdout) == (1, b"")
    assert f"error: {file} is not a notebook that can be edited: {reason}" in outcome.stderr
    assert file.read_bytes() == content


def test_the_images_of_50_megabytes_are_not_copied_for_each_step(notebook: Any, file: Path) -> None:
    image = nbformat.v4.new_output("display_data", data={"image/png": "iVBOR" * 1_000_000})
    notebook.cells += [nbformat.v4.new_code_cell("show()", outputs=[image]) for _ in range(10)]
    nbformat.write(notebook, file)
    size = file.stat().st_size
    assert size > 50_000_000
    tracemalloc.start()
    try:
        holed = read_holed(str(file), "<FILL>")
        new = holed.join(["total", "sum(xs)", ""])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(new.encode()) == size - 3 * len("<FILL>") + len("totalsum(xs)")
    assert peak < 6 * size  # "größe" makes Python store each character of the text in two bytes
