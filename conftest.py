"""Runs the `>>>` examples in the docstrings of src/incoder as tests.

In an example, `model` is the embedded model `mini`, loaded once for all examples; without it, examples that
use it are skipped. Modules without examples are not imported for this, and neither are modules whose library
is not installed here, such as Triton (`--doctest-ignore-import-errors` in pyproject.toml).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from incoder.inference.infill_model import InfillModel

ROOT = Path(__file__).parent
SOURCE = ROOT / "src" / "incoder"
TESTS = ROOT / "tests"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    if collection_path.suffix != ".py":
        return None
    if collection_path.is_relative_to(SOURCE):
        return ">>> " not in collection_path.read_text(encoding="utf-8") or None
    if collection_path.is_relative_to(TESTS):  # programs that tests start would run when they are imported
        return not collection_path.name.startswith("test_") or None
    return None


@pytest.fixture(scope="session")
def embedded_model() -> "InfillModel":
    """The embedded model in float32 on the CPU, so that the examples' outputs are the same everywhere."""
    import incoder
    from incoder.embedded_models import embedded_models

    if "mini" not in embedded_models():
        pytest.skip("needs the embedded model mini")
    return incoder.load("mini", device="cpu", dtype="float32")


@pytest.fixture(autouse=True)
def _names_in_examples(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> None:
    if not isinstance(request.node, pytest.DoctestItem):
        return
    dtest = request.node.dtest
    assert dtest is not None
    if any("model" in example.source for example in dtest.examples):
        doctest_namespace["model"] = request.getfixturevalue("embedded_model")
