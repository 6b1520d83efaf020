"""The script that a model reads of a notebook, and its infills in the cells."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.errors import IncoderError
from incoder.notebooks.notebook import Cell, Replacement
from incoder.notebooks.script import NotebookScript, notebook_extension

CELLS = (
    Cell("markdown", "# Means\n\nOf <FILL>"),
    Cell("code", "%matplotlib inline\nimport math"),
    Cell("code", ""),
    Cell("code", "def mean(xs):\n    return <FILL>\n"),
    Cell("raw", "end"),
)


def test_a_script_has_all_cells_in_order_with_text_in_comments() -> None:
    assert NotebookScript(CELLS).text == (
        "# # Means\n#\n# Of <FILL>\n\n"
        "# %matplotlib inline\nimport math\n\n"
        "def mean(xs):\n    return <FILL>\n\n"
        "# end\n"
    )
    assert NotebookScript(CELLS).parts.num_holes == 2


def test_a_script_is_in_the_kernels_language() -> None:
    script = NotebookScript((Cell("markdown", "Sums"), Cell("code", "%x\nlet a = <FILL>;")), ".js")
    assert script.text == "// Sums\n\n%x\nlet a = <FILL>;\n"


@pytest.mark.parametrize("hole", ["#", "# ", "\n", "%", "[", "\\"])
def test_a_marker_that_the_script_itself_has_marks_only_holes_in_cells(hole: str) -> None:
    cells = (Cell("markdown", f"a{hole}b"), Cell("code", f"x = {hole}1"))
    script = NotebookScript(cells, hole=hole)
    assert script.parts.num_holes == 2
    assert script.replacements(["1", "2"]) == [
        Replacement(0, 1, 1 + len(hole), "1"),
        Replacement(1, 4, 4 + len(hole), "2"),
    ]


def test_a_hole_without_an_infill_keeps_its_marker() -> None:
    assert NotebookScript(CELLS).replacements([None, "x"]) == [Replacement(3, 25, 31, "x")]


def test_an_infill_of_a_text_cell_has_no_comment_marks_and_one_of_a_code_cell_keeps_them() -> None:
    assert NotebookScript(CELLS).in_cells(["all\n# of it", "1\n# 2"]) == ["all\nof it", "1\n# 2"]


def test_an_infill_has_the_line_ends_of_its_cell_and_the_script_those_of_models() -> None:
    script = NotebookScript((Cell("code", "a\r\n<FILL>"), Cell("code", "b\n<FILL>")))
    assert "\r" not in script.text
    assert script.in_cells(["x\ny", "x\ny"]) == ["x\r\ny", "x\ny"]


def test_half_a_surrogate_pair_is_read_as_the_replacement_character() -> None:
    assert NotebookScript((Cell("code", "'\ud83d'"),)).text == "'\ufffd'\n"


def test_cells_with_all_characters_for_private_use_are_refused() -> None:
    cells = (Cell("markdown", "".join(map(chr, range(0xF0000, 0xFFFFE)))),)
    with pytest.raises(IncoderError, match="all characters for private use"):
        _ = NotebookScript(cells).parts


SOURCE = st.lists(st.sampled_from(["x = 1\n", "!ls 'a\n", "# b\n", "é", "\n", "<FILL>"]), max_size=6).map(
    "".join
)


@given(kinds=st.lists(st.tuples(st.sampled_from(["code", "markdown", "raw"]), SOURCE), max_size=5))
def test_every_marker_is_a_hole_in_order(kinds: list[tuple[str, str]]) -> None:
    cells = tuple(Cell(kind, source) for kind, source in kinds)
    script = NotebookScript(cells)
    infills = [str(number) for number in range(script.parts.num_holes)]
    found = [(one.cell, one.start, one.text) for one in script.replacements(script.in_cells(infills))]
    places = [
        (cell, match.start())
        for cell, (_, source) in enumerate(kinds)
        for match in re.finditer("<FILL>", source)
    ]
    assert found == [(*place, infill) for place, infill in zip(places, infills, strict=True)]


def test_a_notebook_of_python_and_magics_is_a_script_that_parses() -> None:
    ast.parse(NotebookScript(CELLS).parts.join(["x", "1"]))


@pytest.mark.parametrize(
    ("metadata", "extension"),
    [
        ({"language_info": {"name": "python", "file_extension": ".py"}}, ".py"),
        ({"language_info": {"name": "R", "file_extension": ".R"}}, ".r"),
        ({"kernelspec": {"language": "julia", "name": "julia-1.9"}}, ".jl"),
        ({"kernelspec": {"language": "C++17"}}, ""),
        ({"kernelspec": {"name": "python3"}}, ".py"),
        ({"language_info": {"file_extension": "/etc/passwd"}}, ".py"),
        ({"language_info": [], "kernelspec": 1}, ".py"),
        (None, ".py"),
    ],
)
def test_the_language_is_that_of_the_metadata_or_python(metadata: object, extension: str) -> None:
    assert notebook_extension(metadata) == extension
