"""Docstrings: where they go, in which style, and that nothing else changes."""

import ast
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.errors import IncoderError
from incoder.tasks.docstring import lacking, write_docstrings
from incoder.tasks.docstring_style import Style, style_of
from incoder.tasks.edits import apply
from incoder.tasks.model import Decoding
from incoder.tasks.python_source import PythonSource
from incoder.tasks.selection import Selection

Scripted = Callable[..., Any]


def written(
    scripted: Scripted, text: str, name: str, *answers: Sequence[Any], style: Style | None = None
) -> str:
    """The text with the docstring of one definition, made of the first of the answers."""
    source = PythonSource(text)
    targets = Selection(function=name).definitions(source)
    changes = list(write_docstrings(scripted(*answers), source, targets, Decoding(), style=style))
    return apply(text, [edit for change in changes for edit in change.edits])


def test_a_docstring_is_written_below_the_header_in_the_indentation_of_the_body(scripted: Scripted) -> None:
    text = "class A:\n\tdef f(self):  # why\n\t\t# how\n\t\treturn 1\n"
    assert written(scripted, text, "A.f", ["Return one."]) == (
        'class A:\n\tdef f(self):  # why\n\t\t"""Return one."""\n\t\t# how\n\t\treturn 1\n'
    )


def test_the_model_sees_the_opening_quotes_before_and_the_body_behind_its_hole(scripted: Scripted) -> None:
    model = scripted(["Return one."])
    source = PythonSource("def f():\n    return 1\n")
    list(write_docstrings(model, source, source.definitions, Decoding(num_candidates=2, seed=7)))
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
    (change,) = write_docstrings(scripted(["Doc."]), source, [None], Decoding())
    assert apply(text, change.edits) == expected


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
    text = "def f(self, x: int, y):\n    yield x\n"
    found = written(scripted, text, "f", [["Do.", "An x.", "A y.", "int", "Them."]], style=Style("numpy"))
    assert (
        found
        == '''def f(self, x: int, y):
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
    text = "def f():\n    r'''Match \\d'''\n    return 1\n"
    source = PythonSource(text)
    (change,) = write_docstrings(scripted([" and it'", " or \\w."]), source, source.definitions, Decoding())
    assert [candidate.problem for candidate in change.candidates] == [None, "cannot stand in a raw string"]
    assert apply(text, change.edits) == text.replace(r"\d", r"\d or \w.")


def test_a_docstring_of_several_literals_is_refused(scripted: Scripted) -> None:
    with pytest.raises(IncoderError, match="line 2 is made of several literals"):
        written(scripted, 'def f():\n    "a" "b"\n', "f")


def test_candidates_that_say_nothing_are_used_last_and_never(scripted: Scripted) -> None:
    source = PythonSource("def f():\n    return 1\n")
    (change,) = write_docstrings(scripted(["", "...", "Fine."]), source, source.definitions, Decoding())
    assert [candidate.problem is None for candidate in change.candidates] == [True, False, False]


def test_later_docstrings_see_the_earlier_ones(scripted: Scripted) -> None:
    model = scripted(["One."], ["Two."])
    source = PythonSource("def f():\n    return 1\n\n\ndef g():\n    return 2\n")
    changes = list(write_docstrings(model, source, source.definitions, Decoding()))
    assert [change.place for change in changes] == ["docstring of function f", "docstring of function g"]
    assert '"""One."""' in model.asked[1][0]


def test_all_that_lack_one_are_not_overloads_nor_functions_in_functions() -> None:
    text = (
        "from typing import overload\n@overload\ndef f(a: int) -> int: ...\ndef f(a):\n    def g(): ...\n"
        'class A:\n    """An A."""\n    def f(self):\n        """"""\n'
    )
    assert [str(target) for target in lacking(PythonSource(text))] == ["None", "function f", "method A.f"]


WORDS = st.text(st.sampled_from("ab \n\t\"'\\{}é.\r"), max_size=30)


@given(
    WORDS,
    WORDS,
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([Style("plain"), Style("google", "'''"), Style("numpy", starts_below=True)]),
)
def test_whatever_is_written_the_code_stays_the_same(
    scripted: Scripted, first: str, others: str, newline: str, style: Style
) -> None:
    text = newline.join(["class A:", "    def f(self, x):", "        # why", "        return x", ""])
    source = PythonSource(text)
    num_holes = {"plain": 1, "google": 3, "numpy": 4}[style.name]
    model = scripted([[f"Do {first}"]], [[f"Do {first}", *[f"it {others}"] * (num_holes - 1)]])
    changes = list(write_docstrings(model, source, source.definitions, Decoding(), style=style))
    new = apply(text, [edit for change in changes for edit in change.edits])
    assert [change.used is None for change in changes] == [False, False]
    assert new.replace("\r\n", "").count("\n") in (0, new.count("\n"))
    tree = ast.parse(new)
    documented = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assert len(documented) == 2
    for node in documented:
        assert ast.get_docstring(node)
        del node.body[0]
    assert ast.dump(tree) == ast.dump(ast.parse(text))
