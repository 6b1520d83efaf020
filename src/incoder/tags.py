"""The tags with a document's attributes (paper, section 3.3): plain text, not special tokens.

`<| file ext=.py source=github |>` precedes a file's text, `<|/ file filename=string_utils.py |>` follows it.
Questions, answers and comments have `q`, `a` and `c` instead of `file`.
"""

from collections.abc import Mapping


def opening_tag(kind: str, attributes: Mapping[str, str] | None = None) -> str:
    """Return the tag before a text.

    >>> opening_tag("file", {"ext": ".py"})
    '<| file ext=.py |>'
    """
    return _tag(f"<| {kind}", attributes or {})


def closing_tag(kind: str, attributes: Mapping[str, str] | None = None) -> str:
    """Return the tag after a text.

    >>> closing_tag("file", {"filename": "my notes.py"})
    '<|/ file filename="my notes.py" |>'
    """
    return _tag(f"<|/ {kind}", attributes or {})


def quoted(value: str) -> str:
    """Return the value as a tag has it: in quotes if it has white space.

    >>> quoted("my notes.py"), quoted(".py")
    ('"my notes.py"', '.py')
    """
    return f'"{value}"' if any(character.isspace() for character in value) else value


def _tag(opening: str, attributes: Mapping[str, str]) -> str:
    return " ".join([opening, *(f"{name}={quoted(value)}" for name, value in attributes.items()), "|>"])
