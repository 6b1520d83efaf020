"""Jupyter notebooks as the paper has them: text cells in `<text>`, code cells in `<cell>`, no outputs.

Takes the JSON of nbformat 2 to 4. The older two keep their cells in worksheets, their code under `input` and
headings as cells of their own, and format 2 stores lines without line ends. Raw cells are left out, as in the
authors' code.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from incoder.corpus.text.markdown import plain_text

_PYTHON = re.compile(r"i?python[\d.]*", re.IGNORECASE)
# Names that conda, virtualenv and venv give to a kernel: they say which environment it is in, not its
# language.
_ENVIRONMENT = re.compile(
    r"conda-(?:env|root|base)\b.*|\.?(?:venv|env|virtualenv|pipenv|poetry)(?:\b.*|\d*)", re.IGNORECASE
)


class NotANotebook(ValueError):  # noqa: N818 - the name of what was found
    """The text is no usable notebook; the message is the reason."""


def notebook_text(text: str) -> tuple[str, str]:
    """The kernel, such as `python`, and the text of all cells.

    >>> cells = [{"cell_type": "code", "source": "x"}]
    >>> notebook_text(json.dumps({"metadata": {"kernelspec": {"name": "python3"}}, "cells": cells}))
    ('python', '<cell>\\nx\\n</cell>\\n')

    Raises:
        NotANotebook: no JSON, no notebook, no kernel, or no cells.
    """
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotANotebook("notebook: not JSON") from error
    if not isinstance(notebook, dict):
        raise NotANotebook("notebook: not a notebook")
    cells = list(_cells(notebook))
    line_end = "\n" if notebook.get("nbformat") == 2 else ""
    blocks = [block for cell in cells if (block := _block(cell, line_end))]
    if not blocks:
        raise NotANotebook("notebook: no cells")
    kernel = _kernel(_mapping(notebook.get("metadata")), cells)
    if kernel is None:
        raise NotANotebook("notebook: no kernel")
    return kernel, "\n".join(blocks) + "\n"


def is_notebook_text(text: str) -> bool:
    """Whether `notebook_text` made this text, as in a corpus that is read again."""
    return text.startswith(("<cell>\n", "<text>\n"))


def _cells(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    worksheets = [_mapping(sheet) for sheet in _list(notebook.get("worksheets"))]
    for holder in [notebook, *worksheets]:
        for cell in _list(holder.get("cells")):
            if isinstance(cell, dict):
                yield cell


def _block(cell: dict[str, Any], line_end: str) -> str | None:
    match cell.get("cell_type"):
        case "code":
            source = _joined(cell.get("source", cell.get("input")), line_end)
            return f"<cell>\n{source}\n</cell>" if source.strip() else None
        case "markdown" | "heading":
            text = plain_text(_joined(cell.get("source"), line_end))
            return f"<text>\n{text}\n</text>" if text.strip() else None
        case _:
            return None


def _kernel(metadata: dict[str, Any], cells: list[dict[str, Any]]) -> str | None:
    """The kernel's name, as in the authors' code; its language if the name is an environment's."""
    kernelspec = _mapping(metadata.get("kernelspec"))
    language = kernelspec.get("language") or _mapping(metadata.get("language_info")).get("name")
    names = [kernelspec.get("name"), language, *(cell.get("language") for cell in cells)]
    environment: str | None = None
    for name in names:
        if isinstance(name, str) and _ENVIRONMENT.fullmatch(name):
            environment = "r" if name.lower().endswith("-r") else "python"
        elif isinstance(name, str) and re.fullmatch(r"[\w.+#-]{1,40}", name):
            return "python" if _PYTHON.fullmatch(name) else name.lower()
    return environment


def _joined(source: object, line_end: str) -> str:
    if isinstance(source, list):
        lines = [line for line in source if isinstance(line, str)]
        # A writer that did end its lines in format 2 gets no second line end.
        return line_end.join(line.removesuffix(line_end) for line in lines) if line_end else "".join(lines)
    return source if isinstance(source, str) else ""


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
