"""The pages of the documentation site that are not in docs/: the repository's other pages, and the reference.

A hook of MkDocs (mkdocs.yml). The reference has the names that `incoder` itself offers and the modules that
an example on a page imports, so that a new name appears without a change here. Knows no HTML.
"""

import importlib
import inspect
import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = {  # pages of the repository outside docs/, and what they are called on the site
    "README.md": "index.md",
    "ARCHITECTURE.md": "ARCHITECTURE.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "recipes/README.md": "recipes.md",
}
_LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_IMPORT = re.compile(r"^(?:from|import) (incoder(?:\.\w+)+)", re.MULTILINE)


def public_names() -> list[str]:
    """The names that `incoder` offers: its `__all__`, or the functions and classes that it defines."""
    incoder = importlib.import_module("incoder")
    if hasattr(incoder, "__all__"):
        return sorted(name for name in incoder.__all__ if not name.startswith("_"))
    return sorted(
        name
        for name, value in vars(incoder).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__.startswith("incoder")
    )


def shown_modules() -> list[str]:
    """The modules of incoder that an example on a page imports."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    return sorted({name for page in pages for name in _IMPORT.findall(page.read_text(encoding="utf-8"))})


def reference_pages() -> dict[str, str]:
    """The reference as Markdown by path: one page for the names of `incoder`, one for each shown module."""
    incoder = importlib.import_module("incoder")
    lines = ["# incoder", "", "What `import incoder` offers.", ""]
    for name in public_names():
        value = getattr(incoder, name)  # may import torch: names are re-exported lazily
        lines += [f"::: {value.__module__}.{value.__qualname__}", ""]
    pages = {"reference/incoder.md": "\n".join(lines)}
    untitled = "    options: {show_root_heading: false, show_root_toc_entry: false}"
    for module in shown_modules():
        pages[f"reference/{module}.md"] = f"# {module}\n\n::: {module}\n{untitled}\n"
    return pages


def with_site_links(markdown: str, page: str) -> str:
    """A page's text with its links to files of the repository turned into links between the site's pages.

    A link to a file that the site does not have becomes its text. `page` is its path in the repository.
    """
    folder = (ROOT / page).parent
    own_folder = folder.relative_to(ROOT / "docs") if folder.is_relative_to(ROOT / "docs") else "."

    def on_site(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        path = (folder / target).resolve()
        if "://" in target or not path.is_relative_to(ROOT) or not path.exists():
            return link[0]  # MkDocs says which links are dead
        name = path.relative_to(ROOT).as_posix()
        site_name = PAGES.get(name) or (name.removeprefix("docs/") if name.startswith("docs/") else None)
        return f"[{text}]({os.path.relpath(site_name, own_folder)}{anchor})" if site_name else text

    return _LINK.sub(on_site, markdown)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are not in docs/ (called by MkDocs)."""
    from mkdocs.structure.files import File

    for source, name in PAGES.items():
        markdown = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=with_site_links(markdown, source)))
    for name, markdown in reference_pages().items():
        files.append(File.generated(config, name, content=markdown))
    return files


def on_config(config: Any) -> Any:
    """List the reference's pages in the navigation (called by MkDocs)."""
    config.nav.append({"Reference": list(reference_pages())})
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn the links of a page of docs/ into the site's (called by MkDocs)."""
    source = f"docs/{page.file.src_uri}"
    return with_site_links(markdown, source) if (ROOT / source).is_file() else markdown
