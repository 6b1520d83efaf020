"""Annotations: where they go, which fills are some, what is imported, what a checker rejects."""

import ast
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.errors import IncoderError
from incoder.tasks.annotations import annotation_in, slots
from incoder.tasks.candidates import Change
from incoder.tasks.edits import apply
from incoder.tasks.model import Decoding
from incoder.tasks.python_source import PythonSource
from incoder.tasks.type_checker import Mypy, TypeChecker
from incoder.tasks.type_hints import write_annotations

Scripted = Callable[..., Any]


def annotate(
    scripted: Scripted, text: str, *answers: Sequence[str], kind: str = "", checker: TypeChecker | None = None
) -> tuple[str, list[Change]]:
    """The text with its slots (of one kind, or all) annotated, one answer for each that is asked for."""
    source = PythonSource(text)
    chosen = [slot for slot in slots(source) if kind in ("", slot.kind)]
    changes = list(write_annotations(scripted(*answers), source, chosen, Decoding(), checker=checker))
    return apply(text, [edit for change in changes for edit in change.edits]), changes


def test_returns_parameters_and_variables_are_annotated_in_the_order_of_the_text(scripted: Scripted) -> None:
    text = "def f(a, *b, c=3,\r\n      **d):  # why\r\n    e = a\r\n    return e\r\n"
    assert annotate(scripted, text, ["int"], ["str"], ["int"], ["float"], ["int"], ["int"])[0] == (
        "def f(a: int, *b: str, c: int = 3,\r\n      **d: float) -> int:  # why\r\n"
        "    e: int = a\r\n    return e\r\n"
    )


def test_the_model_sees_the_earlier_annotations(scripted: Scripted) -> None:
    source = PythonSource("def f(a, b=1):\n    return a\n")
    model = scripted(["str"], ["int"], ["str"])
    list(write_annotations(model, source, slots(source), Decoding()))
    assert model.asked[1] == ["def f(a: str, b: ", " = 1):\n    return a\n"]
    assert model.asked[2] == ["def f(a: str, b: int = 1) -> ", ":\n    return a\n"]


def test_what_is_certain_is_not_asked(scripted: Scripted) -> None:
    text = "class A:\n    def __init__(self):\n        self.a = 1\n    def f(self):\n        print(self)\n"
    new, changes = annotate(scripted, text)
    assert new == text.replace("(self):", "(self) -> None:")
    assert [change.place for change in changes] == ["return type of A.__init__", "return type of A.f"]


def test_a_function_that_is_yet_to_be_written_is_asked_for(scripted: Scripted) -> None:
    text = 'class A:\n    def f(self):\n        """F."""\n        raise NotImplementedError\n'
    assert "def f(self) -> int:" in annotate(scripted, text, ["int"])[0]


def test_a_default_of_none_is_admitted(scripted: Scripted) -> None:
    text = "def f(a=None, b=None, c=None): ...\n"
    new, _ = annotate(scripted, text, ["int"], ["str | None"], ["object"], kind="parameter")
    assert new == "def f(a: int | None = None, b: str | None = None, c: object = None): ...\n"


def test_what_is_annotated_stays_and_self_needs_nothing() -> None:
    text = "class A:\n    b: int = 1\n    def f(self, a: int) -> int:\n        return a\n"
    assert slots(PythonSource(text)) == []


def test_variables_are_annotated_where_they_are_first_bound_and_only_there() -> None:
    text = textwrap.dedent(
        """
        import enum
        __all__ = []
        top = 1
        top = 2
        class Colour(enum.Enum):
            RED = 1
        def f(given):
            global top
            top = given = 3
            given = 1
            for i in range(3):
                i = 2
                x = y, z = 1, 2
                first = 1
            [first for first in range(3)]
            first = 2
        """
    )
    found = [slot for slot in slots(PythonSource(text)) if slot.kind == "variable"]
    assert [(slot.name, slot.line) for slot in found] == [("top", 4), ("first", 15)]


@pytest.mark.parametrize(
    "text",
    [
        "@dataclass\nclass A:\n    x = 1\n",
        "class A(NamedTuple):\n    x = 1\n",
        "class A(m.Model, B):\n    x = 1\n",
        "@dataclass\nclass A: ...\nclass A:\n    x = 1\n",
        "class A(metaclass=M):\n    x = 1\n",
        "class A(Enum):\n    x = 1\nclass B(A):\n    y = 1\n",
        "class A:\n    x = 1\n@dataclass\nclass B(A): ...\n",
        "import x\nx = 3\n",
        "from m import y as x\nx = 3\n",
        "def x(): ...\nx = 3\n",
        "class x: ...\nx = 3\n",
        "try: ...\nexcept E as x: ...\nx = 3\n",
        "match y:\n    case [x, *_]: ...\nx = 3\n",
        "match y:\n    case {**x}: ...\nx = 3\n",
        "match y:\n    case [*x]: ...\nx = 3\n",
        "T = TypeVar('T')\nP = typing.ParamSpec('P')\nN = NewType('N', int)\n",
    ],
)
def test_what_an_annotation_would_give_another_meaning_has_none(text: str) -> None:
    assert [slot.name for slot in slots(PythonSource(text)) if slot.kind == "variable"] == []


def test_attributes_of_plain_classes_are_annotated() -> None:
    text = "class A(object):\n    x = 1\nclass B(A):\n    y = 1\n"
    assert [slot.name for slot in slots(PythonSource(text)) if slot.kind == "variable"] == ["x", "y"]


@pytest.mark.parametrize(
    "text",
    [
        "def Path(): ...\ndef f(a): ...\n",
        "class A:\n    def Path(self): ...\n    def f(self, a): ...\n",
        "class A:\n    Path = 1\n    def f(self, a): ...\n",
    ],
)
def test_a_type_is_not_meant_by_a_name_that_has_another_meaning(text: str, scripted: Scripted) -> None:
    *_, change = annotate(scripted, text, ["Path", "int"], kind="parameter")[1]
    assert [one.problem for one in change.candidates] == [None, "there is no type Path there"]


@pytest.mark.parametrize(
    ("fill", "annotation"),
    [
        ("int", "int"),
        (" dict[str, list[int]], b: str", "dict[str, list[int]]"),
        ("int) -> str", "int"),
        ("int | None = None", "int | None"),
        ("Callable[[int], str]:", "Callable[[int], str]"),
        ('Literal[":", "="]\n', 'Literal[":", "="]'),
        ("np.ndarray", "np.ndarray"),
        ('"A"', '"A"'),
        ("tuple[int, ...]", "tuple[int, ...]"),
        ("", None),
        ("3", None),
        ("-> int", None),
        ("len(x)", None),
        ("dict[str, ", None),
        ("int or None", None),
        ("[int]", None),
        ("...", None),
        ("tuple[" + "int, " * 40 + "int]", None),
    ],
)
def test_the_annotation_is_what_begins_a_fill_if_it_is_one(fill: str, annotation: str | None) -> None:
    assert annotation_in(fill) == annotation


def test_candidates_that_are_no_types_or_name_unknown_ones_are_not_used(scripted: Scripted) -> None:
    _, (change,) = annotate(scripted, "def f(a): ...\n", ["-> ", "Graph", "f", "int"], kind="parameter")
    assert [candidate.problem for candidate in change.candidates] == [
        None,
        "is no type",
        "there is no type Graph there",
        "there is no type f there",
    ]


IMPORTS = {
    "among those of the standard library": (
        "import os\nfrom zlib import crc32\n\nimport numpy as np\n",
        "import os\nfrom typing import Any\nfrom zlib import crc32\n\nimport numpy as np\n",
    ),
    "before other libraries": ("import numpy as np\n", "from typing import Any\n\nimport numpy as np\n"),
    "behind the docstring": ('"""Doc."""\n\nx = 1\n', '"""Doc."""\n\nfrom typing import Any\n\nx = 1\n'),
    "behind the future": (
        "from __future__ import annotations\n\nimport os\n",
        "from __future__ import annotations\n\nimport os\nfrom typing import Any\n",
    ),
    "at the top": ("# why\n\nx = 1\n", "# why\n\nfrom typing import Any\n\nx = 1\n"),
    "into an import, in order": (
        "from typing import AnyStr, Optional\n",
        "from typing import Any, AnyStr, Optional\n",
    ),
    "into an import that has no order": ("from typing import Z, B\n", "from typing import Z, B, Any\n"),
    "into an import of many lines": (
        "from typing import (\n    AnyStr,\n    Optional,\n)\n",
        "from typing import (\n    Any,\n    AnyStr,\n    Optional,\n)\n",
    ),
    "with the line ends of the file": ("import os\r\n", "import os\r\nfrom typing import Any\r\n"),
}


@pytest.mark.parametrize("name", IMPORTS)
def test_imports_are_added_where_they_belong(name: str, scripted: Scripted) -> None:
    head, expected = IMPORTS[name]
    end = "\r\n" if "\r\n" in head else "\n"
    body = end.join(["", "", "def f(a): ...", ""])
    new, _ = annotate(scripted, head + body, ["Any"], kind="parameter")
    assert new == expected + body.replace("(a)", "(a: Any)")


def test_all_names_of_one_module_come_in_one_import(scripted: Scripted) -> None:
    new, changes = annotate(
        scripted, "def f(a, b): ...\n", ["Mapping[str, Path]"], ["Sequence[Any]"], kind="parameter"
    )
    assert new.startswith("from collections.abc import Mapping, Sequence\n")
    assert changes[-1].place == "imports"
    compile(new, "<new>", "exec")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class A:\n    def f(self, a): ...\n", 'a: "A"'),
        ("class A: ...\ndef f(a): ...\n", "a: A"),
        ("def f(a): ...\nclass A: ...\n", 'a: "A"'),
        ("from __future__ import annotations\ndef f(a): ...\nclass A: ...\n", "a: A"),
        (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from b import A\ndef f(a): ...\n",
            'a: "A"',
        ),
    ],
)
def test_a_class_that_is_not_there_yet_is_named_in_quotes(
    text: str, expected: str, scripted: Scripted
) -> None:
    new, _ = annotate(scripted, text, ["A"], kind="parameter")
    assert expected in new


class Rejects:
    """A checker that finds this word to be an error."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.texts: list[str] = []

    def new_errors(self, text: str) -> list[str]:
        self.texts.append(text)
        return ["no such thing"] if self.word in text else []


def test_what_the_checker_rejects_is_not_used_and_the_next_is_tried(scripted: Scripted) -> None:
    checker = Rejects("str")
    new, (change,) = annotate(
        scripted, "def f(a): ...\n", ["str", "int", "float"], kind="parameter", checker=checker
    )
    assert new == "def f(a: int): ...\n"
    assert [candidate.problem for candidate in change.candidates] == [None, None, "mypy: no such thing"]
    assert len(checker.texts) == 2


def test_the_checker_sees_the_imports(scripted: Scripted) -> None:
    checker = Rejects("nothing")
    annotate(scripted, "def f(a): ...\n", ["Any"], kind="parameter", checker=checker)
    assert checker.texts == ["from typing import Any\n\ndef f(a: Any): ...\n"]


def test_mypy_tells_new_errors_and_not_old_ones(tmp_path: Path) -> None:
    text = "def f(a):\n    b: int = ''\n    return a + 1\n"
    file = tmp_path / "module.py"
    file.write_text(text)
    with Mypy(file, text) as checker:
        assert checker.new_errors(text.replace("(a)", "(a: int)")) == []
        (error,) = checker.new_errors(text.replace("(a)", "(a: str)"))
    assert "Unsupported operand types for +" in error
    assert file.read_text() == text
    assert list(tmp_path.iterdir()) == [file]


def test_a_mypy_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("")
    with Mypy(file, "", timeout=0.01) as checker, pytest.raises(IncoderError, match=r"within 0\.01 s"):
        checker.new_errors("x = 1\n")


@given(st.text(st.sampled_from("intA[], |\"'=:)\n\r"), max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_whatever_is_written_only_annotations_change(scripted: Scripted, fill: str, newline: str) -> None:
    text = newline.join(["\ufeffclass A:", "\tdef f(self, a, b = 'é', *, c=None):", "\t\td = a;  return d"])
    new, _ = annotate(scripted, text, *([[fill]] * 5))
    tree = ast.parse(new.removeprefix("\ufeff"))
    tree.body = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            node.body = [_plain(statement) for statement in node.body]
        elif isinstance(node, ast.arg):
            node.annotation = None
    assert ast.dump(tree) == ast.dump(ast.parse(text.removeprefix("\ufeff")))


def _plain(statement: ast.stmt) -> ast.stmt:
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        return ast.Assign([statement.target], statement.value, lineno=1)
    return statement
