"""References to a parameter in its function's docstring, which a renaming changes, too.

These are entries of sections in Google's and NumPy's style, Sphinx's and Epydoc's fields, and names in
backticks. The lines of doctests do not count.
"""

import ast
import re
from collections.abc import Iterator

from incoder.editing.python_source import Named, PythonSource

_FIELDS = ("param", "parameter", "arg", "argument", "key", "keyword", "kwarg", "type")
_GOOGLE = re.compile(r"(?:Keyword |Other )?(?:Args|Arguments|Parameters|Params):\s*")
_NUMPY = re.compile(r"(?:Other )?Parameters\s*")
_UNDERLINE = re.compile(r"\s*-{3,}\s*")
_READS_DOCSTRINGS = ("__doc__", "getdoc", "help", "docopt", "Fire")


def reads_docstrings(source: PythonSource) -> bool:
    """Whether the program reads docstrings, so that a changed docstring may change its output."""
    return any(
        getattr(node, "id", getattr(node, "attr", None)) in _READS_DOCSTRINGS
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Name | ast.Attribute)
    )


def references(source: PythonSource, function: Named, name: str) -> Iterator[tuple[int, int, int]]:
    """Yield the ranges in which docstrings name the parameter, each with the first line of its string.

    The docstring of the function is searched; for `__init__` and `__new__` that of the class, too.
    """
    owners = [function.node]
    if function.parents and function.node.name in ("__init__", "__new__"):
        owners.append(function.parents[-1])
    for owner in owners:
        first = owner.body[0]
        if not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)):
            continue
        if isinstance(first.value.value, str):
            start = source.start(first.value)
            text = source.text[start : source.end(first.value)]
            for begin, end in _named_in(text, name):
                yield start + begin, start + end, first.value.lineno


def _named_in(text: str, name: str) -> Iterator[tuple[int, int]]:
    word = re.escape(name)
    anywhere = re.compile(
        rf"[:@](?:{'|'.join(_FIELDS)})\s+(?:[^:\n]*\s)?\\?\*{{0,2}}({word})\s*:|(?<!`)(`{{1,2}})({word})\2(?!`)"
    )
    google = re.compile(rf"\s*\*{{0,2}}({word})\s*(?:\([^\n]*?\))?\s*:")
    numpy = re.compile(rf"\s*(?:[\w*]+\s*,\s*)*\*{{0,2}}({word})\s*(?=[:,\r\n]|$)")
    place, section, margin, entry = 0, None, 0, -1
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        content = line.strip()
        indent = len(line) - len(line.lstrip())
        if section is google and content and indent <= margin:
            section = None
        is_title = number + 1 < len(lines) and _UNDERLINE.fullmatch(lines[number + 1]) is not None
        if section is numpy and is_title:
            section = None
        if _GOOGLE.fullmatch(content):
            section, margin, entry = google, indent, -1
        elif _NUMPY.fullmatch(content) and is_title:
            section, entry = numpy, indent
        elif content and not content.startswith((">>>", "...")):
            entry = indent if entry < 0 else entry
            found = section.match(line) if section is not None and indent == entry else None
            spans = {found.span(1)} if found else set()
            for match in anywhere.finditer(line):
                spans.add(match.span(1) if match[1] else match.span(3))
            yield from ((place + begin, place + end) for begin, end in sorted(spans))
        place += len(line)
