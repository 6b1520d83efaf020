"""Sources of cells are replaced, and every other byte of a notebook stays."""

import json
import re
from collections.abc import Sequence
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incoder.errors import IncoderError
from incoder.notebooks.notebook import Notebook, Replacement

HOLE = "<FILL>"  # in ASCII, so that it is written the same in every JSON text
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('\n\n\\"é🙂'), max_size=12)
SOURCES = st.lists(TEXT | st.just(HOLE), max_size=5).map("".join)
MARKER = r'(?:"\s*,\s*")?'.join(HOLE)  # as it is, or begun in one string of a list and ended in the next
PARTS = re.compile(r"[^\n]*\n|[^\n]+")
WAYS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "indent": st.sampled_from([None, 1, 2, "\t"]),
        "ensure_ascii": st.booleans(),
        "sort_keys": st.booleans(),
        "separators": st.sampled_from([None, (",", ":"), (" , ", " : ")]),
    }
)


@st.composite
def cells(draw: st.DrawFn) -> dict[str, Any]:
    source = draw(SOURCES)
    kind = draw(st.sampled_from(["code", "markdown", "raw"]))
    cell: dict[str, Any] = {"cell_type": kind, "metadata": {"note": draw(TEXT)}, "id": "a1"}
    if kind == "code":
        output = {"output_type": "stream", "name": "stdout", "text": [draw(TEXT)]}
        cell |= {"outputs": [output], "execution_count": draw(st.none() | st.integers(1, 9))}
    cell["source"] = draw(st.sampled_from([source, PARTS.findall(source), [source[:3], source[3:]]]))
    return cell


@st.composite
def written_notebooks(draw: st.DrawFn) -> str:
    notebook = {
        "metadata": {"title": draw(TEXT)},
        "cells": draw(st.lists(cells(), max_size=4)),
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    text = json.dumps(notebook, **draw(WAYS))
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    return draw(st.sampled_from(["", "\ufeff"])) + (text + draw(st.sampled_from(["", "\n"]))).replace(
        "\n", line_end
    )


def joined(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


def holes(sources: Sequence[str]) -> list[Replacement]:
    return [
        Replacement(cell, *match.span(), "")
        for cell, source in enumerate(sources)
        for match in re.finditer(HOLE, source)
    ]


@settings(max_examples=50)
@given(text=written_notebooks(), data=st.data())
def test_all_but_the_replaced_text_stays_to_the_byte_however_the_json_is_written(
    text: str, data: st.DataObject
) -> None:
    before = json.loads(text.removeprefix("\ufeff"))
    notebook = Notebook.parse(text)
    assert [cell.source for cell in notebook.cells] == [joined(cell["source"]) for cell in before["cells"]]
    found = holes([cell.source for cell in notebook.cells])
    infills = data.draw(st.lists(TEXT, min_size=len(found), max_size=len(found)))
    new = notebook.replaced([one._replace(text=infill) for one, infill in zip(found, infills, strict=True)])

    kept = re.split(MARKER, text)  # outputs and metadata never have it
    assert len(kept) == len(found) + 1
    assert new.startswith(kept[0])
    assert new.endswith(kept[-1])
    place = 0
    for part in kept:
        place = new.index(part, place) + len(part)
    after = json.loads(new.removeprefix("\ufeff"))
    left = iter(infills)
    for cell in before["cells"]:
        cell["source"] = re.sub(HOLE, lambda _: next(left), joined(cell["source"]))
    for cell in after["cells"]:
        cell["source"] = joined(cell["source"])
    assert after == before
    assert notebook.replaced([]) == text


@given(source=SOURCES, infill=TEXT)
def test_a_list_of_lines_stays_one(source: str, infill: str) -> None:
    cell = {"cell_type": "code", "source": PARTS.findall(source)}
    notebook = Notebook.parse(json.dumps({"nbformat": 4, "cells": [cell]}, indent=1))
    found = [one._replace(text=infill) for one in holes([source])]
    lines = json.loads(notebook.replaced(found))["cells"][0]["source"]
    assert [line for line in lines if line] == PARTS.findall(source.replace(HOLE, infill))


def test_new_lines_are_indented_as_the_others() -> None:
    for source, expected in (
        (["a\n", HOLE], '[\n   "a\\n",\n   "b\\n",\n   "c"\n  ]'),
        ([HOLE], '[\n   "b\\n",\n   "c"\n  ]'),
        ([HOLE + "\n", "d"], '[\n   "b\\n",\n   "c\\n",\n   "d"\n  ]'),
    ):
        text = json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": source}]}, indent=1)
        notebook = Notebook.parse(text)
        found = [one._replace(text="b\nc") for one in holes(["".join(source)])]
        assert expected in notebook.replaced(found).replace("\n ", "\n")


@pytest.mark.parametrize(
    ("title", "written"),
    [
        ("ASCII", "é🙂"),
        ("é", "é🙂"),
        (r"\u00e9", r"\u00e9\ud83d\ude42"),
        (r"\\u00e9", "é🙂"),  # a backslash and text
        (r"\u0041\n", "é🙂"),
    ],
)
def test_characters_are_written_as_the_file_writes_them(title: str, written: str) -> None:
    cell = '{"cell_type": "code", "source": "x"}'
    text = f'{{"metadata": {{"title": "{title}"}}, "nbformat": 4, "cells": [{cell}]}}'
    notebook = Notebook.parse(text)
    assert f'"source": "{written}"' in notebook.replaced([Replacement(0, 0, 1, "é🙂")])


def test_half_a_surrogate_pair_stays_in_the_file_and_never_comes_into_it() -> None:
    cells = r'[{"cell_type": "code", "source": "\ud83d<FILL>"}]'
    notebook = Notebook.parse('{"nbformat": 4, "cells": ' + cells + "}")
    new = notebook.replaced([Replacement(0, 1, 7, "a\udce9")])
    assert r'"source": "\ud83da\ufffd"' in new


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "line 1, column 1: { is missing"),
        ("{}", "it has no nbformat, so it is not a notebook"),
        ('{"nbformat": 4}', "it has no cells, so it is not a notebook"),
        (
            '{"nbformat": 3, "worksheets": []}',
            "it is in nbformat 3, and only 4 is supported; `jupyter nbconv",
        ),
        ('{"nbformat": 5, "cells": []}', "nbformat must be 4, got 5"),
        ('{"nbformat": "4", "cells": []}', "nbformat must be 4, got '4'"),
        ('{"nbformat": "4", "cells": [], "nbformat": 4}', "line 1, column 43: there is a second 'nbformat'"),
        ('{"nbformat": 4, "cells": {}}', "line 1, column 26: [ is missing"),
        ('{"nbformat": 4, "cells": [1]}', "line 1, column 27: cell 1 must be an object"),
        ('{"nbformat": 4, "cells": [{"cell_type": "code"}]}', "cell 1 has no source"),
        (
            '{"nbformat": 4, "cells": [{"cell_type": "heading", "source": ""}]}',
            "cell 1: its cell_type must be one of code, markdown, raw, got 'heading'",
        ),
        (
            '{"nbformat": 4, "cells": [{"cell_type": "code", "source": 1}]}',
            "line 1, column 59: the source of cell 1 must be a string or a list of strings",
        ),
        (
            '{"nbformat": 4, "cells": [{"cell_type": "code", "source": ["", 1]}]}',
            "line 1, column 64: the source of cell 1 must be a list of strings",
        ),
        (
            '{"nbformat": 4, "cells": [{"cell_type": "code", "source": "", "source": ""}]}',
            "line 1, column 72: there is a second 'source' in the same object; remove one of them",
        ),
        ('{"nbformat": 4,\n "x": "\udce9", "cells": []}', "line 2 has a byte that is not UTF-8"),
        ('{"nbformat": 4, "cells": []} x', "line 1, column 30: there is more text after the value"),
    ],
)
def test_a_text_that_is_no_notebook_is_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(IncoderError) as error:
        Notebook.parse(text)
    assert str(error.value).startswith(problem)


def test_other_names_may_occur_twice_and_stay() -> None:
    cell = '{"cell_type": "code", "x": 1, "x": 2, "source": "a"}'
    text = f'{{"nbformat": 4, "x": 1, "x": 2, "cells": [{cell}]}}'
    assert Notebook.parse(text).replaced([Replacement(0, 0, 1, "b")]) == text.replace('"a"', '"b"')


def test_nbformat_reads_what_was_written() -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# Title"), nbformat.v4.new_code_cell("x = [<FILL>]\ny")]
    )
    text = nbformat.writes(notebook)
    new = Notebook.parse(text).replaced([Replacement(1, 5, 11, "\n1,\n")])
    read = nbformat.reads(new, as_version=4)
    nbformat.validate(read)
    assert [cell.source for cell in read.cells] == ["# Title", "x = [\n1,\n]\ny"]
    assert nbformat.writes(read) + "\n" == new + "\n"
