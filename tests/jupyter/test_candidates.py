"""Candidates as text and as HTML."""

from incoder.jupyter.candidates import Candidates, FilledCell

CELLS = (
    FilledCell(("if a < b:\n    x = ", "\n    y = ", ""), ("1", "'<&'"), -0.25),
    FilledCell(("if a < b:\n    x = ", "\n    y = ", ""), ("2", "3"), -1.5),
)


def test_as_text_each_candidate_has_its_code_and_how_to_take_it() -> None:
    assert repr(Candidates(CELLS, 1)) == (
        "candidate 1 (in the next cell), mean log-probability -0.250\n"
        "    if a < b:\n        x = 1\n        y = '<&'\n"
        "candidate 2 (%infill --take 2), mean log-probability -1.500\n"
        "    if a < b:\n        x = 2\n        y = 3"
    )


def test_in_html_they_are_side_by_side_with_their_infills_marked_and_all_code_escaped() -> None:
    html = Candidates(CELLS, 1)._repr_html_()
    assert html.count("<th ") == html.count("<td ") == 2
    assert html.count("<tr>") == 2
    assert "if a &lt; b:\n    x = <mark>1</mark>\n    y = <mark>&#x27;&lt;&amp;&#x27;</mark></pre>" in html
    assert "%infill --take 2" in html
