"""Imports, the files that they name, and the declarations in them."""

from pathlib import PurePosixPath

import pytest

from incoder.language_server.context.declarations import Import, declarations, file_of, imports_of

FILES = {
    "app/main.py",
    "app/shapes.py",
    "app/tools/__init__.py",
    "lib/other.py",
    "web/a.ts",
    "web/b/index.ts",
}


def test_imports_of_python_are_read() -> None:
    text = (
        "import os\nfrom app.shapes import (\n    Circle as C,  # round\n    area,\n)\nfrom . import tools\n"
    )
    assert imports_of(text, PurePosixPath("main.py")) == [
        Import("app.shapes", ("Circle", "area")),
        Import(".", ("tools",)),
    ]


def test_imports_of_scripts_are_read() -> None:
    text = 'import React from "react";\nimport { Circle, type Shape as S } from "./shapes";\n'
    assert imports_of(text, PurePosixPath("main.ts")) == [Import("./shapes", ("Circle", "Shape"))]


def test_other_languages_have_none() -> None:
    assert imports_of('import "fmt"\n', PurePosixPath("main.go")) == []


@pytest.mark.parametrize(
    ("module", "path", "file"),
    [
        ("app.shapes", "app/main.py", "app/shapes.py"),
        ("shapes", "main.py", "app/shapes.py"),
        (".shapes", "app/main.py", "app/shapes.py"),
        (".tools", "app/main.py", "app/tools/__init__.py"),
        ("..shapes", "app/tools/__init__.py", "app/shapes.py"),
        ("os", "app/main.py", None),
        ("./a", "web/c.ts", "web/a.ts"),
        ("./b", "web/c.ts", "web/b/index.ts"),
        ("../../../etc/passwd", "web/c.ts", None),
    ],
)
def test_imports_name_files_of_the_workspace(module: str, path: str, file: str | None) -> None:
    assert file_of(Import(module, ("x",)), PurePosixPath(path), FILES) == file


def test_a_module_that_may_be_one_of_several_files_is_none() -> None:
    assert file_of(Import("util", ("x",)), PurePosixPath("main.py"), {"a/util.py", "b/util.py"}) is None


def test_headers_of_several_lines_are_shown_whole() -> None:
    text = "def area(\n    radius: float,\n) -> float:\n    return radius\n"
    assert (
        declarations(text, ["area"], PurePosixPath("a.py")) == "def area(\n    radius: float,\n) -> float:\n"
    )


def test_an_interface_is_shown_with_its_members() -> None:
    interface, header = "export interface Shape {\n  area(): number;\n}\n", "export function f() {\n"
    shown = declarations(
        f"const x = 1;\n{interface}{header}  return 1;\n}}\n", ["Shape", "f"], PurePosixPath("a.ts")
    )
    assert shown == interface + header


def test_names_that_are_not_declared_show_nothing() -> None:
    assert declarations("x = 1\n", ["x.*", "area"], PurePosixPath("a.py")) == ""
