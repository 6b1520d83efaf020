"""Risks: reasons against a renaming, because something else may know the variable by its name."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The subject of a risk, as the table in docs/editing.md counts it."""

    ATTRIBUTE = "an attribute of a class"
    CLASS = "the name of a class"
    IMPORT = "imported by this name"
    SPECIAL = "a name with two underscores, or spelled with compatibility characters"
    READ_BY_NAME = "variables are read by name"
    STRING = "a string may mean it"
    SHOWN = "its name is shown"
    DECORATOR = "a decorator"
    PYTEST = "found by pytest"
    OVERRIDE = "an override"
    VALUE = "its function is used as a value"
    KEYWORD = "a call may give it by keyword"
    BUILTIN = "sometimes a builtin, or from a star import"
    CLASS_BODY = "a class body reads it"
    OTHER_FILES = "other files use it"


@dataclass(frozen=True, slots=True)
class Risk:
    """A reason against a renaming, in words, and its line (0 if it is in another file)."""

    kind: Kind
    reason: str
    line: int

    def __str__(self) -> str:
        return f"{self.reason} (line {self.line})" if self.line else self.reason
