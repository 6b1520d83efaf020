"""Renaming: what is renamed too, what is refused, and how the infills of a model become a name."""

import ast
import csv
import dis
import inspect
import re
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from incoder.editing.edits import Edit, apply_edits
from incoder.editing.python_source import PythonSource
from incoder.editing.rename import find_variable, propose_names, rename_to
from incoder.editing.renaming.renaming import Renaming
from incoder.editing.renaming.symbol_table_check import difference
from incoder.editing.renaming.variables import Occurrence, Variable, Variables
from incoder.editing.selection import Selection
from incoder.errors import IncoderError
from incoder.request import InfillRequest

Scripted = Callable[..., Any]


def renaming(text: str, name: str, selection: Selection | None = None) -> Renaming:
    source = PythonSource(text)
    variables = Variables(source)
    return Renaming(
        source, variables, find_variable(source, variables, name, selection or Selection(is_all=True))
    )


def renamed(text: str, name: str, new: str, selection: Selection | None = None) -> str:
    return apply_edits(text, rename_to(renaming(text, name, selection), new).edits)


EVERYWHERE = {
    "parameters, and keyword arguments in calls": "def f(OLD, *, k=1):\n    return OLD\nf(OLD=2, k=3)\n",
    "parameters of lambdas, and of one that is called": "(lambda OLD, x: OLD + x)(OLD=1, x=2)\n",
    "a lambda that is called by its name": "f = lambda OLD: OLD\nf(OLD=2)\n",
    "what is collected by name": "def f(*, k, **OLD):\n    return OLD\nf(k=1, STAYS=2)\n",
    "global": "OLD = 1\ndef f():\n    global OLD\n    OLD += 1\n    def x(): return OLD\n",
    "nonlocal": (
        "def f():\n    OLD = 1\n    def g():\n        nonlocal OLD\n        OLD = 2\n    return g, OLD\n"
    ),
    "comprehensions": "def f(OLD):\n    return [x for x in OLD if x in OLD], {x: OLD for x in OLD}\n",
    "the walrus of a comprehension": "def f(xs):\n    print([OLD := x for x in xs])\n    return OLD\n",
    "lambdas and defaults": "def f(OLD):\n    return lambda x=OLD: (x, OLD)\n",
    "f-strings": "def f(OLD, w):\n    return f'{OLD!r:>{w}} {OLD} {{OLD}}' + f\"{f'{OLD}'}\"\n",
    "except, with, for, del, star": (
        "def f():\n    try:\n        pass\n    except E as OLD:\n        raise X from OLD\n"
        "    with o() as OLD: del OLD\n    for OLD in (1, 2): print(OLD)\n    x, *OLD = OLD\n"
    ),
    "match": (
        "def f(x):\n    match x:\n        case [OLD, *_]: return OLD\n"
        "        case {'OLD': 1, **OLD}: return OLD\n"
        "        case int() as OLD if OLD: return OLD.OLD\n        case [*OLD]: return OLD\n"
    ),
    "annotations in quotes": "import m as OLD\ndef f(a: 'list[OLD.A]', b: OLD) -> \"OLD\": ...\n",
    "values of Literal in quotes": (
        "import typing as t\nimport m as OLD\n"
        "def f(a: 't.Literal[\"STAYS\", OLD.y] | OLD', b: '\"OLD\"'): ...\n"
    ),
    "an import that names it": "import os.path as OLD\nprint(OLD.join, x.OLD)\n",
    "functions": "def OLD(n):\n    return OLD(n - 1)\nx = [OLD(1)]\n",
    "a use in a loop before the binding": (
        "def f():\n    while c():\n        if k: print(OLD)\n        OLD = 1\n"
    ),
    "attributes and keywords of others stay": "def f(OLD):\n    OLD.OLD = g(STAYS=OLD).OLD\n",
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_variable_is_renamed_wherever_it_is_meant(name: str, newline: str) -> None:
    text = "\ufeff# 漢\n" + EVERYWHERE[name]
    text = re.sub(r"\.OLD|\{\{OLD|'OLD':|STAYS", lambda found: found[0].replace("OLD", "old"), text)
    text = text.replace("STAYS", "old").replace("\n", newline)
    old, new = text.replace("OLD", "old"), text.replace("OLD", "new")
    assert renamed(old, "old", "new") == new


@pytest.mark.parametrize(
    "text",
    [
        "def f(old):\n    class A:\n        old = 1\n        def m(self): return old\n    return A\n",
        "old = 1\ndef f(old):\n    return old\n",
        "def f(old):\n    return [old for old in range(3)], old\n",
        "def f(old):\n    return (lambda old: old)(old)\n",
    ],
)
def test_other_variables_of_the_same_name_stay(text: str) -> None:
    source = PythonSource(text)
    variables = Variables(source)
    for variable in variables.named("old"):
        if variable.is_attribute:
            continue
        new = apply_edits(text, Renaming(source, variables, variable).edits("fresh"))
        assert difference(text, new, "old", "fresh") is None
        assert 0 < new.count("fresh") < text.count("old")


@pytest.mark.parametrize(
    ("text", "new", "said"),
    [
        ("def f(old):\n    return old\n", "class", "is a keyword"),
        ("def f(old):\n    return old\n", "a b", "is no name"),
        ("def f(old):\n    return old\n", "list", "hide the builtin list"),
        ("def f(old):\n    return old\n", "old", "it is called old already"),
        ("def f(old):\n    return old\n", "__x", "meanings of their own"),
        ("def f(old):\n    taken = 1\n    return old\n", "taken", r"means something there \(line 2\)"),
        ("import taken\ndef f(old):\n    return old\n", "taken", r"means something there \(line 1\)"),
        ("def f(old):\n    return [old for taken in old]\n", "taken", r"means something there \(line 2\)"),
        (
            "def f(old):\n    def g(taken):\n        return old\n",
            "taken",
            r"means something there \(line 2\)",
        ),
        ("def f(old):\n    return old + taken\n", "taken", "used there already"),
        ("def old(): return taken\n", "taken", "used there already"),
        ("def f(old):\n    def g():\n        return taken\n    return old\n", "taken", "mean something else"),
        (
            "def f():\n    old = 1\n    def g():\n        global taken\n        taken = 2\n",
            "taken",
            r"means something there \(line 5\)",
        ),
    ],
)
def test_a_name_that_would_change_a_meaning_is_refused(text: str, new: str, said: str) -> None:
    with pytest.raises(IncoderError, match=said):
        renamed(text, "old", new)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class A:\n    old = 1\n", "attribute of a class"),
        ("class A:\n    def old(self): ...\n", "attribute of a class"),
        ("__all__ = ['old']\nold = 1\n", r"__all__ exports it \(line 1\)"),
        ("old = 1\n__all__ += ('old',)\n", "__all__ exports it"),
        ("old = 1\nprint(globals()['old'])\n", r"read by name: globals \(line 2\), and 1 more"),
        ("import m\nold = 1\nsetattr(m, 'old', 2)\n", "a string may mean it"),
        ("def f(old):\n    return '{old}'.format(**locals())\n", r"read by name: locals\(\) \(line 2\)"),
        ("def f(old):\n    return eval('old + 1')\n", "read by name"),
        ("import old\n", "imported by this name"),
        ("from m import old\n", "imported by this name"),
        ("class A:\n    def f(self, old): ...\nA().f(old=1)\n", r"gives it by name \(line 3\)"),
        ("class A:\n    def __init__(self, old): ...\nA(old=1)\n", r"gives it by name \(line 3\)"),
        ("def f(old): ...\nfrom functools import partial\npartial(f, old=1)\n", "gives it by name"),
        ("def f(old): ...\ndef f(old): ...\nf(old=1)\n", "ambiguous"),
        ("@m.parametrize('a,old', [])\ndef f(a, old): ...\n", r"a decorator names it \(line 1\)"),
        ("@given(old=integers())\ndef f(old): ...\n", r"a decorator names it \(line 1\)"),
        ("def test_f(old): ...\n", r"pytest gives test_f what it names \(line 1\)"),
        ("@pytest.fixture\ndef f(old): ...\n", "pytest gives f what it names"),
        ("@pytest.fixture(scope='module')\ndef old(): ...\n", "it is a fixture"),
        ("def f(old):\n    return f'{old + 1=}'\n", r"an f-string shows its name \(line 2\)"),
    ],
)
def test_a_variable_that_may_be_meant_elsewhere_is_not_renamed(text: str, said: str) -> None:
    with pytest.raises(IncoderError, match=said):
        renamed(text, "old", "new")


@pytest.mark.parametrize("body", ["old = old", "if x: old = 2\n    y = old", "old: old = 1"])
def test_a_global_that_a_class_body_may_read_before_it_binds_the_name_is_not_renamed(body: str) -> None:
    text = f"import m as old\nclass A:\n    {body}\n"
    with pytest.raises(IncoderError, match=r"a class body binds the name as well.*\(line [34]\)"):
        renamed(text, "old", "new", Selection(lines=(1, 1)))


def test_a_global_is_renamed_beside_a_class_body_that_binds_the_name_first() -> None:
    text = "old = 1\nclass A:\n    old = 2; x = old\nprint(old)\n"
    expected = "new = 1\nclass A:\n    old = 2; x = old\nprint(new)\n"
    assert renamed(text, "old", "new", Selection(lines=(1, 1))) == expected


BY_NAME = {
    "a dict": "def f(old): ...\nx = {'old': 3}\nf(**x)\n",
    "another name": "def f(old): ...\ng = f\ng(old=2)\n",
    "another name, with a dict": "def f(old): ...\ng = f\ng(**x)\n",
    "a dict of functions": "def f(old): ...\n{'f': f}['f'](old=1)\n",
    "its class method": (
        "class A:\n    def __init__(self, old): ...\n    @classmethod\n"
        "    def of(cls, s): return cls(old=s)\n"
    ),
    "its type": "class A:\n    def __init__(self, old): ...\n    def of(self): type(self)(old=1)\n",
    "its class": "class A:\n    def __new__(cls, old): ...\n    def of(self): self.__class__(old=1)\n",
    "another name of its class": "class A:\n    def __init__(self, old): ...\nB = A\nB(old=1)\n",
    "a class below it": "class A:\n    def __init__(self, old): ...\nclass B(A): ...\nB(old=1)\n",
    "its object": "class A:\n    def __call__(self, old): ...\na = A()\na(old=1)\n",
    "a lambda's other name": "f = lambda old: old\ng = f\ng(old=2)\n",
    "what a lambda is given to": "from m import call\ncall(lambda old: old, old=2)\n",
    "a metaclass": (
        "class M(type):\n    def __new__(cls, a, b, c, old): ...\nclass A(metaclass=M, old=3): ...\n"
    ),
    "a base": "class B:\n    def __init_subclass__(cls, old): ...\nclass A(B, old=3): ...\n",
    "an attribute": "from m import N\ndef f(old): ...\nN(run=f).run(old=1)\n",
    "partial with another name": (
        "from functools import partial as p\ndef f(old): ...\ng = f\np(g, old=1)\n"
    ),
    "a decorator": "from m import d\n@d\ndef f(old): ...\ng(old=1)\n",
    "a method as a value": "class A:\n    def f(self, old): ...\ng = A().f\ng(old=1)\n",
    "a string that names a method": "class A:\n    def f(self, old): ...\ngetattr(A(), 'f')(old=1)\n",
    "a key": "def f(old): ...\nThread(target=f, kwargs={'old': 1})\n",
    "a key of dict": "def f(old): ...\nThread(target=f, kwargs=dict(old=1))\n",
    "a key for a method": (
        "class A:\n    def f(self, old): ...\n    def g(self): Thread(self.f, kwargs={'old': 1})\n"
    ),
    "a key for a class": "class A:\n    def __init__(self, old): ...\nThread(A, kwargs={'old': 1})\n",
}


@pytest.mark.parametrize("name", BY_NAME)
def test_a_parameter_that_may_be_given_by_name_is_not_renamed(name: str) -> None:
    with pytest.raises(IncoderError, match=r"cannot be renamed safely: .* \(line \d\)"):
        renamed(BY_NAME[name], "old", "new")


@pytest.mark.parametrize("function", ["f", "A.__init__"])
def test_calls_of_other_definitions_may_give_something_of_the_name(function: str) -> None:
    text = (
        "import m\ndef f(old): ...\nclass A:\n    def __init__(self, old): ...\n"
        "class B(m.C, old=1): ...\ndef g(old): ...\nf(1), A(1), B(old=2), g(old=3), m.k.l(old=4)\n"
    )
    new = renamed(text, "old", "new", Selection(function=function))
    assert (new.count("new"), new.count("(new)") + new.count("self, new")) == (1, 1)


def test_a_parameter_does_not_take_the_name_of_what_calls_give_besides() -> None:
    text = "def f(old, **more):\n    return old, more\nf(1, new=2)\n"
    with pytest.raises(IncoderError, match=r"gives another new by name \(line 3\)"):
        renamed(text, "old", "new")
    assert renamed(text, "old", "fresh").startswith("def f(fresh, **more)")


def test_an_ambiguous_name_lists_its_variables_and_a_selection_tells_which() -> None:
    text = "def f(x):\n    return x\n\n\ndef g(x):\n    return x\n"
    with pytest.raises(IncoderError, match=r"f \(line 1\), g \(line 5\); say which"):
        renamed(text, "x", "y")
    expected = "def f(x):\n    return x\n\n\ndef g(y):\n    return y\n"
    assert renamed(text, "x", "y", Selection(function="g")) == expected
    assert renamed(text, "x", "y", Selection(lines=(6, 6))) == expected
    with pytest.raises(IncoderError, match="there is no variable z in this file"):
        renamed(text, "z", "y")
    with pytest.raises(IncoderError, match=r"no variable x there, only in f"):
        renamed(text, "x", "y", Selection(lines=(3, 4)))


def test_names_are_the_majority_of_the_fills_and_ranked(scripted: Scripted) -> None:
    text = "def f(x):\n    y = x\n    return x, y\n"
    answer = [["y", "total", "y"], ["total", "total(", " sum"], ["", "-", ""], ["x", "x", "x"], ["z"] * 3]
    model = scripted(answer, least_probable=("z",))
    change = propose_names(model, PythonSource(text), renaming(text, "x"), InfillRequest())
    assert change is not None
    assert model.asked == [["def f(", "):\n    y = ", "\n    return ", ", y\n"]]
    assert [candidate.problem for candidate in change.candidates] == [
        None,
        "y already means something there (line 2)",
        "it is called x already",
        "proposes no name",
        "z is less probable than x",
    ]
    assert apply_edits(text, change.edits) == "def f(total):\n    y = total\n    return total, y\n"


def test_no_name_is_proposed_where_the_present_one_is_more_probable(scripted: Scripted) -> None:
    text = "def f(x):\n    return x\n"
    model = scripted([["x", "x"], ["y", "y"]], least_probable=("x", "y"))
    assert propose_names(model, PythonSource(text), renaming(text, "x"), InfillRequest()) is not None
    model = scripted([["y", "y"], ["z", "z"]], least_probable=("y", "z"))
    assert propose_names(model, PythonSource(text), renaming(text, "x"), InfillRequest()) is None


def test_the_compiler_notices_an_occurrence_that_was_left_out() -> None:
    text = "def f(old):\n    return old, [old for x in old]\n"
    assert difference(text, "def f(new):\n    return new, [new for x in new]\n", "old", "new") is None
    assert difference(text, "def f(new):\n    return new, [old for x in new]\n", "old", "new")
    assert difference(text, "def f(new):\n    return old, [new for x in new]\n", "old", "new")
    assert difference(text, text, "old", "new")


def _block(head: str, name: str, argument: str, body: str) -> str:
    return f"{head.format(name, argument)}\n{textwrap.indent(body, '    ')}"


NAMES = st.sampled_from(["a", "b", "c"])
STATEMENTS = st.recursive(
    st.one_of(
        st.builds("{} = {}".format, NAMES, NAMES),
        st.builds("print({}, [{} for {} in {}])".format, NAMES, NAMES, NAMES, NAMES),
        st.builds("print((lambda {}: {})({}))".format, NAMES, NAMES, NAMES),
        st.builds("for {} in {}: print({})".format, NAMES, NAMES, NAMES),
        st.builds("global {}".format, NAMES),
        st.builds("nonlocal {}".format, NAMES),
        st.builds("print(f'{{{}}}')".format, NAMES),
        st.builds("print([{} := {} for d in {}])".format, NAMES, NAMES, NAMES),
        st.builds("import e as {}".format, NAMES),
    ),
    lambda inner: (
        st.builds(_block, st.sampled_from(["def {}({}):", "class {}:  # {}"]), NAMES, NAMES, inner)
        | st.builds("{}\n{}".format, inner, inner)
    ),
    max_leaves=12,
)


@settings(max_examples=30)
@example("def a(b):\n    print([a := b for d in a])", "fresh")
@given(STATEMENTS, st.sampled_from(["fresh", "b"]))
def test_a_renamed_program_compiles_to_the_same_code_and_can_be_renamed_back(text: str, new: str) -> None:
    try:
        before = compile(text, "text", "exec")
    except SyntaxError:  # such as nonlocal at module level
        return
    source = PythonSource(text)
    variables = Variables(source)
    for name in ("a", "c"):
        for variable in _named(variables, name):
            try:
                edits = rename_to(Renaming(source, variables, variable), new).edits
            except IncoderError:
                continue
            after = apply_edits(text, edits)
            if new == "fresh":
                assert _code(compile(after, "text", "exec"), name, new) == _code(before, name, name)
            back = [Edit(edit.start, edit.start + len(new), name) for edit in _shifted(edits)]
            assert apply_edits(after, back) == text
            meant = [set(_ranges(one.occurrences)) for one in Variables(PythonSource(after)).named(new)]
            assert {(edit.start, edit.end) for edit in back} in meant


@pytest.mark.parametrize("module", [textwrap, csv], ids=lambda module: module.__name__)
def test_variables_of_real_files_are_renamed_to_the_same_code(module: types.ModuleType) -> None:
    text = inspect.getsource(module)
    source = PythonSource(text)
    variables = Variables(source)
    before = compile(text, "text", "exec")
    names = sorted({name.id for name in _names(source)} - {"self"})  # 3.13 notes what self.x assigns
    num_renamed = 0
    for name in names[:: max(1, len(names) // 12)]:
        for variable in _named(variables, name)[:2]:
            try:
                change = rename_to(Renaming(source, variables, variable), "fresh_name")
            except IncoderError:
                continue
            num_renamed += 1
            after = compile(apply_edits(text, change.edits), "text", "exec")
            assert _code(after, name, "fresh_name") == _code(before, name, name)
    assert num_renamed >= 3


def _named(variables: Variables, name: str) -> list[Variable]:
    try:
        return variables.named(name)
    except IncoderError:
        return []


def _names(source: PythonSource) -> Iterator[ast.Name]:
    return (node for node in ast.walk(source.tree) if isinstance(node, ast.Name))


def _code(code: types.CodeType, old: str, new: str) -> Any:
    """What a program does, with the new name called as the old one."""

    def called(value: Any) -> Any:
        if isinstance(value, types.CodeType):
            return _code(value, old, new)
        if isinstance(value, tuple):  # names of keyword arguments
            return tuple(map(called, value))
        return re.sub(rf"\b{new}\b", old, value) if isinstance(value, str) else value

    steps = [(step.opname, called(step.argval)) for step in dis.get_instructions(code)]
    in_order: list[tuple[str, Any]] = []
    for opname, run in groupby(steps, key=itemgetter(0)):
        # The compiler makes cells in the alphabetic order of their names, which a renaming changes.
        alike = list(run)
        in_order += sorted(alike) if opname in ("MAKE_CELL", "LOAD_CLOSURE") else alike
    return (
        in_order,
        [called(name) for name in code.co_varnames],
        [called(constant) for constant in code.co_consts],
    )


def _ranges(occurrences: Iterable[Occurrence]) -> Iterator[tuple[int, int]]:
    return ((place.start, place.end) for place in occurrences)


def _shifted(edits: tuple[Edit, ...]) -> Iterator[Edit]:
    shift = 0
    for edit in edits:
        yield Edit(edit.start + shift, edit.end + shift, edit.text)
        shift += len(edit.text) - (edit.end - edit.start)
