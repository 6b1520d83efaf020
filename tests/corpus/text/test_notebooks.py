import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import Report
from incoder.corpus.sources.listing import list_files
from incoder.corpus.sources.reading import read_files
from incoder.corpus.text.markdown import plain_text
from incoder.corpus.text.notebooks import NotANotebook, notebook_text

PYTHON = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}


def notebook(*cells: dict[str, Any], metadata: object = PYTHON) -> str:
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def code(source: object) -> dict[str, Any]:
    outputs = [{"output_type": "stream", "name": "stdout", "text": "secret output"}]
    return {"cell_type": "code", "source": source, "outputs": outputs, "execution_count": 1, "metadata": {}}


def test_code_and_text_cells_stand_in_their_tags_and_outputs_are_gone() -> None:
    text = notebook(
        {"cell_type": "markdown", "source": ["# A *title*\n", "\n", "See [the docs](http://x.y)."]},
        code(["import os\n", "os.getcwd()"]),
        {"cell_type": "raw", "source": "left out"},
        code(""),
    )
    assert notebook_text(text) == (
        "python",
        "<text>\nA title\n\nSee the docs.\n</text>\n<cell>\nimport os\nos.getcwd()\n</cell>\n",
    )


def test_version_three_has_worksheets_inputs_and_headings() -> None:
    cells = [
        {"cell_type": "heading", "level": 1, "source": ["Title"]},
        {"cell_type": "code", "language": "python", "input": ["x = 1"], "outputs": [], "prompt_number": 1},
        {"cell_type": "markdown", "source": "**text**"},
    ]
    text = json.dumps({"metadata": {"name": ""}, "nbformat": 3, "worksheets": [{"cells": cells}]})
    assert notebook_text(text) == (
        "python",
        "<text>\nTitle\n</text>\n<cell>\nx = 1\n</cell>\n<text>\ntext\n</text>\n",
    )


@pytest.mark.parametrize(
    ("metadata", "kernel"),
    [
        ({"kernelspec": {"name": "python2"}}, "python"),
        ({"kernelspec": {"name": "ir", "language": "R"}}, "ir"),
        ({"kernelspec": {"name": "julia-1.6"}}, "julia-1.6"),
        ({"kernelspec": {"name": "my env!", "language": "python"}}, "python"),
        ({"language_info": {"name": "python"}}, "python"),
    ],
)
def test_the_kernel_is_named(metadata: object, kernel: str) -> None:
    assert notebook_text(notebook(code("x"), metadata=metadata))[0] == kernel


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1", "not JSON"),
        ("", "not JSON"),
        ('{"cells": [', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a notebook"),
        ("{}", "no cells"),
        ('{"cells": 3, "worksheets": [3, {"cells": "x"}]}', "no cells"),
        ('{"cells": [3, {"cell_type": []}, {"cell_type": "code", "source": {"a": 1}}]}', "no cells"),
        (notebook(code("x"), metadata={}), "no kernel"),
        (notebook(code("x"), metadata=[]), "no kernel"),
    ],
)
def test_what_is_no_notebook_says_why(text: str, reason: str) -> None:
    with pytest.raises(NotANotebook, match=reason):
        notebook_text(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["cells", "worksheets", "cell_type", "source", "input", "metadata", "kernelspec"]
                )
                | st.text(max_size=3),
                inner | st.sampled_from(["code", "markdown"]),
                max_size=4,
            )
        ),
    )
)
def test_any_json_is_a_notebook_or_says_why(value: object) -> None:
    try:
        kernel, text = notebook_text(json.dumps(value))
    except NotANotebook:
        return
    assert kernel
    assert text.startswith(("<cell>", "<text>"))


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("# Title\n\nText *with* **emphasis** and `code`.", "Title\n\nText with emphasis and code."),
        ("- one\n- two\n  - three\n\nafter", "one\ntwo\nthree\n\nafter"),
        ("1. one\n2. two", "one\ntwo"),
        ("> quoted", "quoted"),
        ("```python\nx = 1\n\n\ny = 2\n```\nafter", "x = 1\n\n\ny = 2\n\nafter"),
        ("![alt text](image.png)", "alt text"),
        ("<div>html</div>\n\ntext <b>bold</b>", "text bold"),
        ("see <http://example.com> there", "see  there"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a b\n1 2"),
        ("first\nsecond", "first\nsecond"),
        ("~~gone~~", "gone"),
        ("snake_case_name and 2*3*4", "snake_case_name and 234"),
        ("", ""),
    ],
)
def test_markdown_loses_its_formatting(markdown: str, text: str) -> None:
    assert plain_text(markdown) == text


def test_a_cell_of_open_brackets_is_no_work() -> None:
    started = time.process_time()
    assert plain_text("[" * 100_000) == "[" * 100_000
    assert len(plain_text("[" * 20_000)) == 20_000
    assert time.process_time() - started < 3


def test_a_notebook_in_a_folder_has_its_kernel_in_the_extension(
    write_files: Callable[..., Path], recipe: Callable[..., CorpusRecipe]
) -> None:
    half = notebook(code("x = '\ud83d'"))
    write_files({"p/a.ipynb": notebook(code("x = 1")), "p/b.ipynb": "no json", "p/c.ipynb": half})
    settings, report = recipe(languages=["Jupyter"]), Report()
    (document,) = read_files(list_files(settings, report.on_drop), settings, report.on_drop)
    assert document.attributes["ext"] == ".ipynb:python"
    assert document.text == "<cell>\nx = 1\n</cell>\n"
    assert report.dropped["notebook: not JSON"].num_files == 1
    assert report.dropped["not UTF-8"].num_files == 1


@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("conda-env-work-py", "python"),
        ("conda-root-py", "python"),
        ("conda-env-stats-r", "r"),
        ("venv", "python"),
        (".venv", "python"),
        ("env", "python"),
        ("ir", "ir"),
    ],
)
def test_an_environment_is_no_language(name: str, kernel: str) -> None:
    assert notebook_text(notebook(code("x"), metadata={"kernelspec": {"name": name}}))[0] == kernel


@pytest.mark.parametrize("end", ["", "\n"])
def test_lines_of_format_2_keep_their_ends(end: str) -> None:
    cell = {"cell_type": "code", "language": "python", "input": [f"x = 1{end}", f"y = 2{end}"]}
    text = json.dumps({"nbformat": 2, "metadata": {}, "worksheets": [{"cells": [cell]}]})
    assert notebook_text(text) == ("python", "<cell>\nx = 1\ny = 2\n</cell>\n")
