"""Uses of a variable in other files of a project."""

from pathlib import PurePath

import pytest

from incoder.editing.python_source import PythonSource
from incoder.editing.rename import find_variable
from incoder.editing.renaming.project_references import project_references
from incoder.editing.renaming.variables import Variables
from incoder.editing.selection import Selection

TEXT = "old = 1\ndef f(given): ...\nclass A:\n    def __init__(self, made): ...\n"


def found(name: str, others: dict[str, str], path: str = "pkg/shapes.py") -> list[str]:
    source = PythonSource(TEXT)
    variables = Variables(source)
    variable = find_variable(source, variables, name, Selection(is_all=True))
    return [str(one) for one in project_references(variable, PurePath(path), others)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("old", "x = 1\nfrom pkg.shapes import old\n"),
        ("old", "x = 1\nfrom .shapes import *  # old\n"),
        ("old", "import pkg.shapes\npkg.shapes.old\n"),
        ("old", "import shapes as s\ns.old\n"),
        ("old", "from pkg import shapes\nshapes.old = 2\n"),
        ("old", "x = 1\npatch('pkg.shapes.old')\n"),
        ("old", "x = 1\nrun('shapes:old')\n"),
        ("given", "import shapes\nshapes.f(given=1)\n"),
        ("given", "from shapes import f\npartial(f, given=1)\n"),
        ("made", "from shapes import A\nA(made=1)\n"),
        ("old", "\ufeffx = 1\nfrom shapes import old\n"),  # a byte order mark is no part of the code
    ],
)
def test_a_use_in_another_file_is_a_risk_that_names_its_line(name: str, text: str) -> None:
    assert found(name, {"other.py": text}) == ["other.py uses it (its line 2)"]


def test_an_entry_point_is_a_use() -> None:
    assert found("f", {"pyproject.toml": "[project.scripts]\nrun = 'pkg.shapes:f'\n"}) == [
        "pyproject.toml uses it (its line 2)"
    ]
    assert found("f", {"pyproject.toml": "[project.scripts]\nrun = 'pkg.other:f'\n"}) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("old", "old = 1\nprint(old)\n"),
        ("old", "from other import old\n"),
        ("old", "import shapes\nother.old\n"),
        ("given", "import shapes\ng(given=1)\n"),
        ("given", "given = 1\nf(given)\n"),
        ("given", "def f(given): ...\nf(given=1)\n"),
        ("old", "def ("),
    ],
)
def test_other_names_are_no_use(name: str, text: str) -> None:
    assert found(name, {"other.py": text}) == []


def test_a_package_is_known_by_its_folder() -> None:
    assert found("old", {"other.py": "from shapes import old\n"}, "shapes/__init__.py")
