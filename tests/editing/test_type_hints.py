"""Annotations: their places, the infills that count as one, the imports, and the checker's rejections."""

import ast
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.editing.candidates import Change
from incoder.editing.edits import apply_edits
from incoder.editing.python_source import PythonSource
from incoder.editing.type_hints import write_annotations
from incoder.editing.types.annotations import annotation_in
from incoder.editing.types.missing_annotations import missing_annotations
from incoder.editing.types.type_checker import Mypy, TypeChecker
from incoder.editing.types.type_names import TypeNames
from incoder.errors import IncoderError
from incoder.request import InfillRequest

Scripted = Callable[..., Any]


def annotate(
    scripted: Scripted, text: str, *answers: Sequence[str], kind: str = "", checker: TypeChecker | None = None
) -> tuple[str, list[Change]]:
    """The text with what lacks an annotation (of one kind, or all) annotated, one answer for each."""
    source = PythonSource(text)
    chosen = [missing for missing in missing_annotations(source) if kind in ("", missing.kind)]
    changes = list(write_annotations(scripted(*answers), source, chosen, InfillRequest(), checker=checker))
    return apply_edits(text, [edit for change in changes for edit in change.edits]), changes


def test_returns_parameters_and_variables_are_annotated_in_the_order_of_the_text(scripted: Scripted) -> None:
    text = "def f(a, *b, c=3,\r\n      **d):  # why\r\n    e = a\r\n    return e\r\n"
    assert annotate(scripted, text, ["int"], ["str"], ["int"], ["float"], ["int"], ["int"])[0] == (
        "def f(a: int, *b: str, c: int = 3,\r\n      **d: float) -> int:  # why\r\n"
        "    e: int = a\r\n    return e\r\n"
    )


def test_the_model_sees_the_earlier_annotations(scripted: Scripted) -> None:
    source = PythonSource("def f(a, b=1):\n    return a\n")
    model = scripted(["str"], ["int"], ["str"])
    list(write_annotations(model, source, missing_annotations(source), InfillRequest()))
    assert model.asked[1] == ["def f(a: str, b: ", " = 1):\n    return a\n"]
    assert model.asked[2] == ["def f(a: str, b: int = 1) -> ", ":\n    return a\n"]


def test_the_model_is_not_asked_for_certain_types(scripted: Scripted) -> None:
    text = "class A:\n    def __init__(self):\n        self.a = 1\n    def f(self):\n        print(self)\n"
    new, changes = annotate(scripted, text)
    assert new == text.replace("(self):", "(self) -> None:")
    assert [change.place for change in changes] == ["return type of A.__init__", "return type of A.f"]


def test_a_function_that_is_yet_to_be_written_is_asked_for(scripted: Scripted) -> None:
    text = 'class A:\n    def f(self):\n        """F."""\n        raise NotImplementedError\n'
    assert "def f(self) -> int:" in annotate(scripted, text, ["int"])[0]


def returned(scripted: Scripted, text: str, *answers: Sequence[str]) -> str:
    """What follows the parameters of the first function, when its result is annotated."""
    new, _ = annotate(scripted, text, *answers, kind="return")
    return new.partition("f(")[2].partition(")")[2].partition(":")[0]


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        ("def f():\n    yield 1\n", "int", " -> Iterator[int]"),
        ("def f():\n    yield from g()\n", "dict[str, int]]:\n", " -> Iterator[dict[str, int]]"),
        ("async def f():\n    yield 1\n", "int", " -> AsyncIterator[int]"),
        ("def f():\n    if g():\n        return\n    yield 1\n", "int]", " -> Iterator[int]"),
        ("def f():\n    x = yield 1\n", "Generator[int, str, None]", " -> Generator[int, str, None]"),
        (
            "def f():\n    yield 1\n    return 2\n",
            "Generator[int, None, int]",
            " -> Generator[int, None, int]",
        ),
        ("import typing\ndef f():\n    g((yield))\n", "typing.Iterable[int]", " -> typing.Iterable[int]"),
        ("import typing as t\ndef f():\n    g((yield))\n", "t.Iterable[int]", " -> t.Iterable[int]"),
        ("from collections import abc\ndef f():\n    g((yield))\n", "abc.Iterable", " -> abc.Iterable"),
        ("class Iterator: ...\ndef f():\n    yield 1\n", "Iterable[int]", " -> Iterable[int]"),
        ("from m import Iterator\ndef f():\n    yield 1\n", "object", " -> object"),
        ("def f():\n    yield A()\nclass A: ...\n", "A", ' -> "Iterator[A]"'),
    ],
)
def test_a_generator_returns_an_iterator_of_what_the_model_writes(
    text: str, answer: str, expected: str, scripted: Scripted
) -> None:
    assert returned(scripted, text, [answer]) == expected


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    x = yield 1\n",
        "async def f():\n    x = yield 1\n",
        "class Iterator: ...\ndef f():\n    yield 1\n",
    ],
)
@pytest.mark.parametrize(
    "answer", ["int", "list[int]", "None", "Iterator | None", "m.Generator", "t.List[int]", "Literal[1]"]
)
def test_a_generator_is_never_annotated_as_something_else(text: str, answer: str, scripted: Scripted) -> None:
    assert returned(scripted, "import m, typing as t\n" + text, [answer]) == ""


def test_a_generator_whose_type_is_only_imported_for_checkers_names_it_in_quotes(scripted: Scripted) -> None:
    text = "if TYPE_CHECKING:\n    from typing import Iterator\ndef f():\n    yield\n"
    assert returned(scripted, text) == ' -> "Iterator[None]"'


@pytest.mark.parametrize("result", ["yield", "yield None", "for _ in g():\n        yield"])
def test_a_generator_of_nothing_is_not_asked_for(result: str, scripted: Scripted) -> None:
    text = f"@contextmanager\ndef f():\n    {result}\n"
    assert returned(scripted, text) == " -> Iterator[None]"
    assert "import Iterator" in annotate(scripted, text)[0]
    assert returned(scripted, f"async {text.partition(chr(10))[2]}") == " -> AsyncIterator[None]"


def test_the_model_writes_within_the_brackets_of_the_iterator(scripted: Scripted) -> None:
    source = PythonSource("def f():\n    yield 1\n")
    model = scripted(["int"])
    list(write_annotations(model, source, missing_annotations(source), InfillRequest()))
    assert model.asked == [["def f() -> Iterator[", "]:\n    yield 1\n"]]


@pytest.mark.parametrize(
    "text",
    [
        "def f(a, b):  # type: (int, str) -> bool\n    return a\n",
        "def f(a, b):\n    # type: (int, str) -> bool\n    return a\n",
        "def f(a,  # type: int\n      *b  # type: str\n      ):\n    # type: (...) -> bool\n    return a\n",
        "class A:\n    def f(self):\n        # why\n        #  type:  () -> bool\n        return 1\n",
        "x = []  # type: list[int]\n",
        "x = [\n]  # type: list[int]\n",
        "def f() -> int:\n    x = None  # type: int | None\n    x = 3\n    return x\n",
    ],
)
def test_a_place_with_a_type_comment_is_not_annotated(text: str) -> None:
    assert missing_annotations(PythonSource(text)) == []


def test_other_comments_type_nothing() -> None:
    text = "def f(a):  # type: ignore\n    # types: (int) -> int\n    return '# type: (int) -> int'\n"
    assert [missing.kind for missing in missing_annotations(PythonSource(text))] == ["parameter", "return"]
    text = "def f(a,  # type: int\n      b=(1,\n         2),  # type: tuple\n      c=1): pass\n"
    assert [missing.name for missing in missing_annotations(PythonSource(text))] == ["c", "f"]


def test_the_first_parameter_of_a_method_needs_nothing_whatever_its_name() -> None:
    text = (
        "class A:\n    def f(this, a): ...\n    @classmethod\n    def g(klass): ...\n"
        "    @staticmethod\n    def h(self): ...\ndef k(self): ...\n"
    )
    found = [
        (missing.owner, missing.name)
        for missing in missing_annotations(PythonSource(text))
        if missing.kind == "parameter"
    ]
    assert found == [("A.f", "a"), ("A.h", "self"), ("k", "self")]


@pytest.mark.parametrize(
    "alias",
    [
        "list[float]",
        "int | float",
        "int | None",
        "Union[int, str]",
        "t.Optional[int]",
        "Callable[[int], str]",
        "Annotated[int, Gt(0)]",
        "Literal['r', 'w']",
        "int",
        "Matrix",
        "models.Matrix",
        "Known",
        "dict[str, Known] | None",
        "str if PY3 else unicode",
    ],
)
@pytest.mark.parametrize("indent", ["", "    "])
def test_an_alias_of_a_type_stays_one(alias: str, indent: str) -> None:
    text = f"class Known:\n    pass\nclass A:\n    pass\n{indent}Vector = {alias}\n"
    assert [
        missing for missing in missing_annotations(PythonSource(text)) if missing.kind == "variable"
    ] == []


@pytest.mark.parametrize(
    "value", ["3", "data[0]", "a | b", "names['x']", "FLAGS['a']", "f()", "(int, str)", "A.b"]
)
def test_a_value_is_no_alias(value: str) -> None:
    assert [missing.name for missing in missing_annotations(PythonSource(f"x = {value}\n"))] == ["x"]


@pytest.mark.parametrize(
    "answer", ["Final", "Final[int]", "ClassVar", "TypeAlias", "typing.Final", "t.Optional", "Union"]
)
@pytest.mark.parametrize("kind", ["variable", "parameter", "return"])
def test_words_of_typing_that_are_no_types_are_not_used(answer: str, kind: str, scripted: Scripted) -> None:
    text = "import typing\nimport typing as t\nx = g()\ndef f(a):\n    return a\n"
    new, changes = annotate(scripted, text, [answer], kind=kind)
    assert new == text
    assert [one.problem for one in changes[0].candidates] == [f"{answer.partition('[')[0]} is no type there"]


def test_words_of_typing_are_types_where_they_mean_something_else(scripted: Scripted) -> None:
    text = "from asyncio import Protocol\nclass Final: ...\ndef f(a, b): ...\n"
    new, _ = annotate(scripted, text, ["Final"], ["Protocol"], kind="parameter")
    assert new == text.replace("a, b", "a: Final, b: Protocol")


def test_self_is_a_type_only_in_classes(scripted: Scripted) -> None:
    text = "def f(a): ...\nclass A:\n    def g(self, a): ...\n"
    new, _ = annotate(scripted, text, ["Self"], ["Self"], kind="parameter")
    assert new.endswith("def f(a): ...\nclass A:\n    def g(self, a: Self): ...\n")


def test_type_parameters_are_types_where_they_are_in_scope() -> None:
    source = PythonSource("class Box:\n    def f(self, a): ...\n    def g(self, a): ...\ndef h(a): ...\n")
    box, f, *_ = (named.node for named in source.definitions)
    box.type_params = [SimpleNamespace(name="T")]  # type: ignore[union-attr]
    f.type_params = [SimpleNamespace(name="U")]  # type: ignore[union-attr]
    names = TypeNames(source)
    known = [
        (name, owner) for name in "TU" for owner in ("Box.f", "Box.g", "h", "") if names.is_known(name, owner)
    ]
    assert known == [("T", "Box.f"), ("T", "Box.g"), ("U", "Box.f")]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="PEP 695 came with Python 3.12")
def test_type_parameters_and_type_statements_are_types(scripted: Scripted) -> None:
    text = (
        "type pair[T] = tuple[T, T]\nclass Box[T]:\n    type Inner = list[T]\n"
        "    def f[U](self, a, b, c, d): ...\n"
        "def g(a): ...\ntype Late = int\n"
    )
    new, _ = annotate(scripted, text, ["T"], ["U"], ["pair[T]"], ["Inner"], ["Late"], kind="parameter")
    assert "def f[U](self, a: T, b: U, c: pair[T], d: Inner): ..." in new
    assert 'def g(a: "Late"): ...' in new
    assert annotate(scripted, text, *[["int"]] * 4, ["T"], kind="parameter")[1][-1].used is None


def test_a_type_that_is_bound_later_is_named_in_quotes(scripted: Scripted) -> None:
    text = "def f(a, b): ...\nVector = list[float]\nfrom m import Late\n"
    new, _ = annotate(scripted, text, ["Vector"], ["Late"], kind="parameter")
    assert new == text.replace("a, b", 'a: "Vector", b: "Late"')


def test_an_alias_in_a_class_is_known_to_its_methods(scripted: Scripted) -> None:
    text = "class A:\n    Vector = list[float]\n    size = 3\n    def f(self, a): ...\n"
    assert "a: Vector" in annotate(scripted, text, ["Vector"], kind="parameter")[0]


@pytest.mark.parametrize("answer", ['int | "A"', '"A" | int', 'list["A" | None]'])
def test_half_of_a_union_is_not_quoted_where_it_is_evaluated(answer: str, scripted: Scripted) -> None:
    new, _ = annotate(scripted, "class A: ...\ndef f(a): ...\n", [answer], kind="parameter")
    bare = answer.replace('"', "")
    assert f'def f(a: "{bare}")' in new


def test_a_default_of_none_is_admitted(scripted: Scripted) -> None:
    text = "def f(a=None, b=None, c=None): ...\n"
    new, _ = annotate(scripted, text, ["int"], ["str | None"], ["object"], kind="parameter")
    assert new == "def f(a: int | None = None, b: str | None = None, c: object = None): ...\n"


def test_annotations_stay_and_self_needs_none() -> None:
    text = "class A:\n    b: int = 1\n    def f(self, a: int) -> int:\n        return a\n"
    assert missing_annotations(PythonSource(text)) == []


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
    found = [missing for missing in missing_annotations(PythonSource(text)) if missing.kind == "variable"]
    assert [(missing.name, missing.line) for missing in found] == [("top", 4), ("first", 15)]


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
def test_an_assignment_whose_meaning_an_annotation_would_change_gets_none(text: str) -> None:
    assert [
        missing.name for missing in missing_annotations(PythonSource(text)) if missing.kind == "variable"
    ] == []


def test_attributes_of_plain_classes_are_annotated() -> None:
    text = "class A(object):\n    x = 1\nclass B(A):\n    y = 1\n"
    assert [
        missing.name for missing in missing_annotations(PythonSource(text)) if missing.kind == "variable"
    ] == ["x", "y"]


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
    "after the future": (
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
    ("head", "expected"),
    [
        ("", "from collections.abc import Iterator\nfrom typing import Any\n\n"),
        ('"""Doc."""\n\n', '"""Doc."""\n\nfrom collections.abc import Iterator\nfrom typing import Any\n\n'),
        ("import os\n", "import os\nfrom collections.abc import Iterator\nfrom typing import Any\n"),
    ],
)
def test_new_imports_at_one_place_are_one_block(head: str, expected: str, scripted: Scripted) -> None:
    body = "def f():\n    yield a\n"
    new, _ = annotate(scripted, head + body, ["Any"])
    assert new == expected + body.replace("()", "() -> Iterator[Any]")


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


def test_a_rejected_candidate_is_not_used_and_the_next_is_tried(scripted: Scripted) -> None:
    checker = Rejects("str")
    new, (change,) = annotate(
        scripted, "def f(a): ...\n", ["str", "int", "float"], kind="parameter", checker=checker
    )
    assert new == "def f(a: int): ...\n"
    assert [candidate.problem for candidate in change.candidates] == [
        None,
        None,
        "rejected by mypy: no such thing",
    ]
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


def test_files_of_one_name_are_told_apart_in_one_cache(tmp_path: Path) -> None:
    for number, folder in enumerate(("a", "b")):
        file = tmp_path / folder / "module.py"
        file.parent.mkdir()
        file.write_text("def f(a):\n    return a + 1\n" if number else "def f(a):\n    return a.strip()\n")
        with Mypy(file, file.read_text(), cache=tmp_path / "cache") as checker:
            errors = checker.new_errors(file.read_text().replace("(a)", "(a: str)", 1))
        assert len(errors) == number


def test_a_mypy_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("")
    with Mypy(file, "", timeout=0.01) as checker, pytest.raises(IncoderError, match=r"within 0\.01 s"):
        checker.new_errors("x = 1\n")


@given(st.text(st.sampled_from("intA[], |\"'=:)\n\r"), max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_only_annotations_change_for_any_infill(scripted: Scripted, fill: str, newline: str) -> None:
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
