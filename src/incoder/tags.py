"""The tags that tell a document's attributes (paper, section 3.3): plain text, not special tokens.

`<| file ext=.py source=github |>` before a file's text, `<|/ file filename=string_utils.py |>` behind it;
`q`, `a` and `c` in the place of `file` for questions, answers and comments.
"""

from collections.abc import Mapping


def opening_tag(kind: str, attributes: Mapping[str, str] | None = None) -> str:
    return _tag(f"<| {kind}", attributes or {})


def closing_tag(kind: str, attributes: Mapping[str, str] | None = None) -> str:
    return _tag(f"<|/ {kind}", attributes or {})


def quoted(value: str) -> str:
    """The value as it stands in a tag: in quotes where it has a blank."""
    return f'"{value}"' if any(character.isspace() for character in value) else value


def _tag(opening: str, attributes: Mapping[str, str]) -> str:
    return " ".join([opening, *(f"{name}={quoted(value)}" for name, value in attributes.items()), "|>"])
