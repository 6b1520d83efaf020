"""Docstrings: they go to the right place, in the right style, and nothing else changes."""

import ast
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.editing.docstring import incomplete, undocumented, write_docstrings
from incoder.editing.docstrings.style import Style, sections, style_of
from incoder.editing.edits import apply_edits
from incoder.editing.python_source import PythonSource
from incoder.editing.selection import Selection
from incoder.errors import IncoderError
from incoder.request import InfillRequest

Scripted = Callable[..., Any]


def written(
    scripted: Scripted, text: str, name: str, *answers: Sequence[Any], style: Style | None = None
) -> str:
    """The text with the docstring of one definition, made of the first of the answers."""
    source = PythonSource(text)
    targets = Selection(function=name).definitions(source)
    changes = list(write_docstrings(scripted(*answers), source, targets, InfillRequest(), style=style))
    return apply_edits(text, [edit for change in changes for edit in change.edits])


def test_a_docstring_is_written_below_the_header_in_the_indentation_of_the_body(scripted: Scripted) -> None:
    text = "class A:\n\tdef f(self):  # why\n\t\t# how\n\t\treturn 1\n"
    assert written(scripted, text, "A.f", ["Return one."]) == (
        'class A:\n\tdef f(self):  # why\n\t\t"""Return one."""\n\t\t# how\n\t\treturn 1\n'
    )


def test_the_model_sees_the_opening_quotes_before_and_the_body_behind_its_hole(scripted: Scripted) -> None:
    model = scripted(["Return one."])
    source = PythonSource("def f():\n    return 1\n")
    list(
        write_docstrings(
            model, source, source.definitions, InfillRequest.from_settings(num_candidates=2, seed=7)
        )
    )
    assert model.asked == [['def f():\n    """', '"""\n    return 1\n']]
    assert model.settings[0]["stop"] == ('"""',)
    assert (model.settings[0]["num_candidates"], model.settings[0]["seed"]) == (2, 7)


def test_lines_that_the_model_indents_in_its_own_way_are_indented_as_the_body(scripted: Scripted) -> None:
    text = "def f():\r\n    return 1"
    assert written(scripted, text, "f", ["Return one.\r\n\r\n        Not two.\r\n"]) == (
        'def f():\r\n    """Return one.\r\n\r\n    Not two.\r\n    """\r\n    return 1'
    )


def test_a_body_on_the_line_of_its_header_gets_one_there(scripted: Scripted) -> None:
    assert written(scripted, "def f(): return 1\n", "f", ["Return one.\nNot two."]) == (
        'def f(): """Return one."""; return 1\n'
    )


def test_a_header_over_many_lines_and_with_colons_is_found(scripted: Scripted) -> None:
    text = "def f(\n    a: int = {1: 2}[1],\n    *b: str,\n) -> dict[str, int]:\n    return {}\n"
    assert written(scripted, text, "f", ["Do."]).endswith(
        ') -> dict[str, int]:\n    """Do."""\n    return {}\n'
    )


def test_a_class_has_a_blank_line_behind_its_docstring(scripted: Scripted) -> None:
    text = "class A(B):\n    def f(self): ...\n"
    assert written(scripted, text, "A", ["An A."]) == (
        'class A(B):\n    """An A."""\n\n    def f(self): ...\n'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import os\n", '"""Doc."""\n\nimport os\n'),
        ("#!/bin/python\n# licence\n\nimport os\n", '#!/bin/python\n# licence\n"""Doc."""\n\nimport os\n'),
        ("\ufeffimport os\r\n", '\ufeff"""Doc."""\r\n\r\nimport os\r\n'),
        ("# only this", '# only this\n"""Doc."""\n'),
        ("", '"""Doc."""\n'),
    ],
)
def test_a_module_docstring_stands_behind_the_first_comments(
    scripted: Scripted, text: str, expected: str
) -> None:
    source = PythonSource(text)
    (change,) = write_docstrings(scripted(["Doc."]), source, [None], InfillRequest())
    assert apply_edits(text, change.edits) == expected


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("#!/bin/sh\n\n# type: ignore\n# more\n\nimport os\n", "# more\n"),
        ("# licence\n\n# type: ignore[attr-defined]\nimport os\n", "defined]\n"),
        ("\n# -*- coding: utf-8 -*-\n# licence\n\nx = 1\n", "licence\n"),
        ("# licence\n\n# coding: in the third line\nx = 1\n", "licence\n"),
        ("# licence\n\n# type: a word\nx = 1\n", "licence\n"),
        ("\ufeff# licence\r\n\r\n# type: ignore\r\nx = 1\r\n", "ignore\r\n"),
    ],
)
def test_comments_that_count_only_before_a_module_docstring_stay_before_it(
    scripted: Scripted, text: str, place: str
) -> None:
    source = PythonSource(text)
    (change,) = write_docstrings(scripted(["Doc."]), source, [None], InfillRequest())
    before, after = text.split(place)
    end = "\r\n" if "\r\n" in text else "\n"
    gap = "" if after.startswith(end) else end
    assert apply_edits(text, change.edits) == f'{before}{place}"""Doc."""{end}{gap}{after}'


@pytest.mark.parametrize(
    "header",
    [
        "def f(a):  # type: (int) -> str\n",
        "def f(a):\n    # type: (int) -> str\n",
        "def f(a):\n    # why\n\n    #type: (int) -> str\n",
        "def f(a,  # type: int\n      ):\n    # type: (...) -> str\n",
        "async def f(\n    a\n):  # why\n    # type: (int) -> str  # why\n",
    ],
)
def test_a_docstring_goes_below_a_type_comment_which_counts_only_first(
    scripted: Scripted, header: str
) -> None:
    text = f"{header}    # how\n    return str(a)\n"
    new = written(scripted, text, "f", ["Show it."])
    assert new == f'{header}    """Show it."""\n    # how\n    return str(a)\n'

    def types(text: str) -> list[str | None]:
        tree = ast.parse(text, type_comments=True)
        return [node.type_comment for node in tree.body if isinstance(node, ast.FunctionDef)]

    assert types(new) == types(text)


def test_other_comments_stay_below_the_docstring(scripted: Scripted) -> None:
    text = "def f():\n    # type: ignore\n    x = '''\n    # type: int\n    '''\n"
    assert written(scripted, text, "f", ["Do."]) == text.replace("):\n", '):\n    """Do."""\n', 1)


GOOGLE = '''def known(a):
    """Know.

    Args:
        a: What is known.
    """


def f(x, *args, key=1, **more):
    if x:
        raise ValueError("x")
    return x
'''


def test_sections_and_names_are_those_of_the_style_and_the_function(scripted: Scripted) -> None:
    words = ["Do it.", "An x.", "Others.", "A key.", "More.", "The x.", "If x."]
    assert (
        written(scripted, GOOGLE, "f", [words]).partition("**more):\n")[2]
        == '''    """Do it.

    Args:
        x: An x.
        *args: Others.
        key: A key.
        **more: More.

    Returns:
        The x.

    Raises:
        ValueError: If x.
    """
    if x:
        raise ValueError("x")
    return x
'''
    )


def test_numpy_sections_have_the_types_that_are_annotated(scripted: Scripted) -> None:
    text = "def f(x: int, y):\n    yield x\n"
    found = written(scripted, text, "f", [["Do.", "An x.", "A y.", "int", "Them."]], style=Style("numpy"))
    assert (
        found
        == '''def f(x: int, y):
    """Do.

    Parameters
    ----------
    x : int
        An x.
    y
        A y.

    Yields
    ------
    int
        Them.
    """
    yield x
'''
    )


@pytest.mark.parametrize("unit", ["\t", "  ", "    ", "        "])
def test_sections_are_indented_as_the_file_is(scripted: Scripted, unit: str) -> None:
    text = f"class A:\n{unit}def f(self, a):\n{2 * unit}return a\n"
    for style, head in ((Style("google"), "Args:"), (Style("numpy"), "Parameters\n----------")):
        words = ["Do.", "It.", "That."] if style.name == "google" else ["Do.", "It.", "int", "That."]
        new = written(scripted, text, "A.f", [words], style=style)
        margin = 2 * unit
        assert f"\n{margin}{head}\n{margin}".replace("\n-", f"\n{margin}-") in new
        indented = [line for line in new.splitlines() if line.endswith(("It.", "That."))]
        assert [line[: len(line) - len(line.lstrip())] for line in indented] == [3 * unit] * 2


def heads(text: str, name: str = "f") -> list[str]:
    """The names in the Args and Raises sections that a function would get."""
    (named,) = PythonSource(text).find(name)
    pieces = sections(named, "google", unit="    ")
    return [piece.strip().removesuffix(":") for piece in pieces if piece and re.match(r"\n +\S", piece)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class A:\n    def f(klass, a): pass\n", ["a"]),
        ("class A:\n    def f(this, /, a): pass\n", ["a"]),
        ("class A:\n    @classmethod\n    def f(metacls, a): pass\n", ["a"]),
        ("class A:\n    @staticmethod\n    def f(self, a): pass\n", ["self", "a"]),
        ("class A:\n    if 1:\n        def f(klass): pass\n", []),
        ("class A:\n    def f(*self): pass\n", ["*self"]),
        ("class A:\n    def g(self):\n        def f(self): pass\n", ["self"]),
        ("def f(self, cls): pass\n", ["self", "cls"]),
    ],
)
def test_the_place_of_a_parameter_says_whether_it_is_the_instance(text: str, expected: list[str]) -> None:
    assert heads(text) == expected


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        ("ValueError", ["ValueError"]),
        ("errors.NotThere(1)", ["errors.NotThere"]),
        ("_Private from None", ["_Private"]),
        ('(A if c else B)("x")', []),
        ("ERRORS[kind]", []),
        ("ERRORS[kind](1)", []),
        ("make()(1)", []),
        ("make().Error(1)", []),
        ("error", []),
        ("NOT_FOUND", []),
        ("self.Error(1)", []),
        ("Local(1)", []),
        ("HTTPError()", ["HTTPError"]),
    ],
)
def test_only_the_name_of_a_class_is_a_heading_of_what_is_raised(raised: str, expected: list[str]) -> None:
    assert heads(f"class A:\n    def f(self):\n        Local = self\n        raise {raised}\n") == expected


def test_a_style_is_that_of_most_functions_with_parameters() -> None:
    numpy = 'def f(a):\n    """F.\n\n    Parameters\n    ----------\n    a : int\n    """\n'
    sphinx = "def g(a):\n    '''\n    G.\n\n    :param a: An a.\n    '''\n"
    plain = 'def h(a):\n    """H."""\n'
    names = {
        style_of(PythonSource(text)).name: text
        for text in (numpy + plain, sphinx + numpy + sphinx, plain + plain + numpy, GOOGLE)
    }
    assert list(names) == ["numpy", "sphinx", "plain", "google"]
    assert style_of(PythonSource(sphinx)) == Style("sphinx", "'''", starts_below=True)
    assert style_of(PythonSource("x = 1\n")) == Style()


def test_an_unfinished_docstring_is_written_on(scripted: Scripted) -> None:
    text = 'def f():\n    """Return one and   """\n    return 1\n'
    assert written(scripted, text, "f", [" not two."]) == (
        'def f():\n    """Return one and not two.   """\n    return 1\n'
    )


def test_a_finished_docstring_gets_the_sections_that_it_lacks(scripted: Scripted) -> None:
    text = GOOGLE.replace("    if x:\n", '    """Do it."""\n    if x:\n', 1)
    found = written(scripted, text, "f", [["An x.", "Others.", "A key.", "More.", "The x.", "If x."]])
    assert '    """Do it.\n\n    Args:\n        x: An x.\n' in found
    assert '    Raises:\n        ValueError: If x.\n    """\n    if x:\n' in found


def test_a_raw_docstring_takes_only_what_can_stand_in_it(scripted: Scripted) -> None:
    text = "def f():\n    r'''Match \\d and'''\n    return 1\n"
    source = PythonSource(text)
    (change,) = write_docstrings(scripted([" it'", " not \\w."]), source, source.definitions, InfillRequest())
    assert [candidate.problem for candidate in change.candidates] == [
        None,
        "cannot be written in a raw string",
    ]
    assert apply_edits(text, change.edits) == text.replace(r"\d and", r"\d and not \w.")


@pytest.mark.parametrize("docstring", ['"a" "b"', '("a" "b")', '("a"\n     "b")'])
def test_a_docstring_of_several_literals_is_refused(scripted: Scripted, docstring: str) -> None:
    with pytest.raises(IncoderError, match="line 2 consists of several literals"):
        written(scripted, f"def f():\n    {docstring}\n", "f")


@pytest.mark.parametrize("docstring", ['("""Do%s""")', "((\n    'Do%s'\n    ))", '( r"""Do%s""" )  # why'])
def test_a_docstring_in_brackets_is_one_literal(scripted: Scripted, docstring: str) -> None:
    text = f"def f():\n    {docstring % ' and'}\n    return 1\n"
    assert written(scripted, text, "f", [" rest."]) == text.replace("Do and", "Do and rest.")
    empty = text.replace("Do and", "")
    assert ast.get_docstring(ast.parse(written(scripted, empty, "f", ["Do."])).body[0]) == "Do."  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "docstring",
    [
        "Return one",
        "Return `the",
        "The file to read from",
        "Gib eins zurück",
        "Do:\n\n    - this",
        "(0, 1]",
        "x",
    ],
)
def test_a_docstring_that_lacks_only_its_full_stop_is_complete(docstring: str) -> None:
    source = PythonSource(f'def f(a):\n    """{docstring}"""\n    return 1\n')
    assert incomplete(source, source.definitions) == []
    assert list(write_docstrings(None, source, source.definitions, InfillRequest())) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "docstring", ["Return one and", "Return one,", "Return (all", "Of a,\n\n    the", "One -"]
)
def test_a_docstring_that_breaks_off_is_incomplete(docstring: str) -> None:
    source = PythonSource(f'def f(a):\n    """{docstring}"""\n    return 1\n')
    assert incomplete(source, source.definitions) == [*source.definitions]


@pytest.mark.parametrize(("parameter", "num_incomplete"), [("the", 0), ("it", 1)])
def test_the_name_of_a_parameter_may_end_a_docstring(parameter: str, num_incomplete: int) -> None:
    source = PythonSource(f'def f({parameter}, b):\n    """Add b to the"""\n')
    assert len(incomplete(source, source.definitions)) == num_incomplete


@pytest.mark.parametrize(
    ("infill", "docstring"),
    [
        ('"\nReturn one.', "Return one."),
        ('"Return one."', "Return one."),
        ('" Return one.', "Return one."),
        ("'''\nReturn one.\n'''\n", "Return one."),
        ('Return one."', "Return one."),
        ('Return "one".', 'Return "one".'),
        ("''\nDon't.", "Don't."),
        ("Return one.\n\nArgs:\n", "Return one."),
        ("Return one.\n\nArgs:\n\nReturns:\n    One.\n\nRaises:", "Return one.\n\nReturns:\n    One."),
        ("Return one.\n\nParameters\n----------\n", "Return one."),
        ("Do.\n\n:param a:\n:param b: A b.\n:returns:", "Do.\n\n:param b: A b."),
        ("Do.\n\n:param a:\n    An a.", "Do.\n\n:param a:\n    An a."),
        ("Do.\n\nReturns\nto the start.", "Do.\n\nReturns\nto the start."),
    ],
)
def test_stray_quotes_and_empty_sections_of_the_model_are_left_out(
    scripted: Scripted, infill: str, docstring: str
) -> None:
    new = written(scripted, "def f():\n    return 1\n", "f", [infill])
    assert ast.get_docstring(ast.parse(new).body[0]) == docstring  # type: ignore[arg-type]


@pytest.mark.parametrize("infill", ["Find the value and", "Find it.\n\nThe a", "Return one,"])
def test_a_docstring_that_the_model_breaks_off_is_not_used(scripted: Scripted, infill: str) -> None:
    source = PythonSource("def f():\n    return 1\n")
    (change,) = write_docstrings(scripted([infill, "One"]), source, source.definitions, InfillRequest())
    assert [one.problem for one in change.candidates] == [None, "breaks off within a sentence"]


@pytest.mark.parametrize(
    "infill", ['"', '"\n"', "Args:", "Args:\n    None", "Args:\n\nReturns:", "---\nDo.", '"""', "'"]
)
def test_a_docstring_whose_first_line_has_no_word_is_not_used(scripted: Scripted, infill: str) -> None:
    source = PythonSource("def f():\n    return 1\n")
    (change,) = write_docstrings(scripted([infill]), source, source.definitions, InfillRequest())
    assert change.used is None


def test_candidates_that_say_nothing_are_used_last_and_never(scripted: Scripted) -> None:
    source = PythonSource("def f():\n    return 1\n")
    (change,) = write_docstrings(scripted(["", "...", "Fine."]), source, source.definitions, InfillRequest())
    assert [candidate.problem is None for candidate in change.candidates] == [True, False, False]


def test_later_docstrings_see_the_earlier_ones(scripted: Scripted) -> None:
    model = scripted(["One."], ["Two."])
    source = PythonSource("def f():\n    return 1\n\n\ndef g():\n    return 2\n")
    changes = list(write_docstrings(model, source, source.definitions, InfillRequest()))
    assert [change.place for change in changes] == ["docstring of function f", "docstring of function g"]
    assert '"""One."""' in model.asked[1][0]


def test_all_that_lack_one_are_not_overloads_nor_functions_in_functions() -> None:
    text = (
        "from typing import overload\n@overload\ndef f(a: int) -> int: ...\ndef f(a):\n    def g(): ...\n"
        'class A:\n    """An A."""\n    def f(self):\n        """"""\n'
    )
    assert [str(target) for target in undocumented(PythonSource(text))] == [
        "None",
        "function f",
        "method A.f",
    ]


# Nothing made of these breaks off within a sentence.
WORDS = st.text(st.sampled_from("xb \n\t\"'\\}é.\r"), max_size=30)


@given(
    WORDS,
    WORDS,
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([Style("plain"), Style("google", "'''"), Style("numpy", starts_below=True)]),
)
def test_the_code_stays_the_same_whatever_the_model_writes(
    scripted: Scripted, first: str, others: str, newline: str, style: Style
) -> None:
    text = newline.join(["class A:", "    def f(self, x):", "        # why", "        return x", ""])
    source = PythonSource(text)
    num_holes = {"plain": 1, "google": 3, "numpy": 4}[style.name]
    model = scripted([[f"Do {first}"]], [[f"Do {first}", *[f"it {others}"] * (num_holes - 1)]])
    changes = list(write_docstrings(model, source, source.definitions, InfillRequest(), style=style))
    new = apply_edits(text, [edit for change in changes for edit in change.edits])
    assert [change.used is None for change in changes] == [False, False]
    assert new.replace("\r\n", "").count("\n") in (0, new.count("\n"))
    tree = ast.parse(new)
    documented = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assert len(documented) == 2
    for node in documented:
        assert ast.get_docstring(node)
        del node.body[0]
    assert ast.dump(tree) == ast.dump(ast.parse(text))
