"""The documentation site has a page for every public name; `make docs` checks the links when it builds it."""

import importlib
import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

import incoder

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "website" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_name_of_incoder_is_in_the_reference(reference: ModuleType) -> None:
    entries = re.findall(r"^::: (\S+)$", reference.reference_pages()["reference/incoder.md"], re.MULTILINE)
    offered = getattr(incoder, "__all__", ["load"])
    assert len(entries) == len([name for name in offered if not name.startswith("_")])
    for entry in entries:  # each is where it says, so that the site can read its docstring
        module, _, name = entry.rpartition(".")
        assert hasattr(importlib.import_module(module), name), entry


def test_each_module_that_a_page_imports_is_in_the_reference(reference: ModuleType) -> None:
    pages = reference.reference_pages()
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for module in re.findall(r"^(?:from|import) (incoder\.[\w.]+)", page.read_text(), re.MULTILINE):
            assert f"::: {module}\n" in pages[f"reference/{module}.md"], page.name


def test_what_the_reference_shows_has_a_docstring(reference: ModuleType) -> None:
    shown = [getattr(incoder, name) for name in reference.public_names()]
    for name in reference.shown_modules():
        module = importlib.import_module(name)
        shown += [
            value
            for key, value in vars(module).items()
            if not key.startswith("_")
            and (inspect.isfunction(value) or inspect.isclass(value))
            and value.__module__ == name
        ]
    bare = [f"{value.__module__}.{value.__qualname__}" for value in shown if not inspect.getdoc(value)]
    assert not bare, f"no docstring: {', '.join(bare)}"


@pytest.mark.parametrize(
    ("page", "link", "on_site"),
    [
        ("README.md", "[a](docs/filling.md#edges)", "[a](filling.md#edges)"),
        ("README.md", "[a](ARCHITECTURE.md)", "[a](ARCHITECTURE.md)"),
        ("README.md", "[a](recipes/README.md)", "[a](recipes.md)"),
        ("README.md", "[a](LICENSE)", "a"),
        ("docs/mini.md", "[a](../README.md)", "[a](index.md)"),
        ("docs/mini.md", "[a](speed.md)", "[a](speed.md)"),
        ("docs/mini.md", "[a](dead.md)", "[a](dead.md)"),  # stays, so that the build fails
        ("docs/mini.md", "[a](../DEAD)", "[a](../DEAD)"),
        ("docs/mini.md", "[a](#here)", "[a](#here)"),
        ("docs/mini.md", "[a](https://arxiv.org/abs/2204.05999)", "[a](https://arxiv.org/abs/2204.05999)"),
        ("recipes/README.md", "[a](../docs/corpus.md)", "[a](corpus.md)"),
    ],
)
def test_a_link_in_the_repository_leads_to_the_site_s_page(
    reference: ModuleType, page: str, link: str, on_site: str
) -> None:
    assert reference.with_site_links(link, page) == on_site
