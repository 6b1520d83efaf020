"""Doctest examples as code blocks: in Markdown, `>>>` would be three nested quotations.

An extension of griffe, by which mkdocstrings reads the source. mkdocs.yml names it.
"""

import re
from typing import Any

import griffe

# An example: its lines up to the next blank one, all indented alike.
_EXAMPLE = re.compile(r"^>>> (?:.+\n?)+", re.MULTILINE)


class FencedExamples(griffe.Extension):
    """Puts every example of a docstring into a fenced block."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(docstring: str) -> str:
    """A docstring with a fence around each of its examples.

    >>> print(fenced("Add.\\n\\n>>> add(1, 2)\\n3\\n"))
    Add.
    <BLANKLINE>
    ```pycon
    >>> add(1, 2)
    3
    ```
    """
    return _EXAMPLE.sub(lambda example: f"```pycon\n{example[0].rstrip()}\n```", docstring).rstrip()
