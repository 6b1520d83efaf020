"""What `incoder` itself offers, and how few places name a setting of generation."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import incoder
from incoder.inference.infill_model import InfillModel
from incoder.inference.reranking import infill_by_reranking

SOURCE = Path(incoder.__file__).parent


def test_public_names_are_there_and_type_checkers_know_the_same_ones() -> None:
    tree = ast.parse(Path(incoder.__file__).read_text(encoding="utf-8"))
    typed = {
        (node.module, one.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for one in node.names
        if one.asname is not None and node.module != "incoder.inference.models.loading"
    }
    assert typed == {(module, name) for module, names in incoder._PUBLIC.items() for name in names}
    for _, name in typed:
        assert getattr(incoder, name).__name__ == name
        assert name in dir(incoder)


def test_requests_and_editing_load_no_torch() -> None:
    script = (
        "import sys, incoder; incoder.InfillRequest; incoder.write_docstrings; incoder.fix; incoder.Model; "
        "incoder.IncoderError; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'incoder' has no attribute 'Infiller'"):
        incoder.Infiller  # type: ignore[attr-defined] # noqa: B018


def names_temperature(tree: ast.AST) -> bool:
    """Whether `temperature` is a parameter, a field or the name of an option there; uses do not count."""
    keys = {key for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys}
    return any(
        (isinstance(node, ast.arg) and node.arg == "temperature")
        or (isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "temperature")
        or (isinstance(node, ast.Constant) and node.value == "temperature" and node not in keys)
        for node in ast.walk(tree)
    )


def test_a_setting_is_named_in_few_files() -> None:
    naming = [
        path.relative_to(SOURCE).as_posix()
        for path in sorted(SOURCE.rglob("*.py"))
        if names_temperature(ast.parse(path.read_text(encoding="utf-8")))
        and not path.is_relative_to(SOURCE / "server" / "dialects")  # names in other programs' requests
        and not path.is_relative_to(SOURCE / "inference" / "upstream")
        and path != SOURCE / "language_server" / "settings.py"  # the names of an editor's settings
    ]
    assert len(naming) <= 8, naming


def test_public_calls_have_few_parameters_beside_the_settings() -> None:
    calls = [
        call
        for _, call in inspect.getmembers(InfillModel, inspect.isfunction)
        if not call.__name__.startswith("_")
    ]
    public: list[Callable[..., Any]] = [*calls, InfillModel.__init__, infill_by_reranking]
    for call in public:
        explicit = [
            one
            for one in inspect.signature(call).parameters.values()
            if one.kind is not inspect.Parameter.VAR_KEYWORD and one.name != "self"
        ]
        assert len(explicit) <= 8, call.__name__
