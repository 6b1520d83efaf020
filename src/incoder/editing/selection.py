"""The part of a file that a user selects: a range of lines, a definition by its name, or everything."""

from dataclasses import dataclass

from incoder.editing.lines import Lines, start_of
from incoder.editing.python_source import Named, PythonSource
from incoder.errors import IncoderError


@dataclass(frozen=True, slots=True)
class Selection:
    """One of these: a range of lines (first and last included), a definition's name, or everything."""

    lines: tuple[int, int] | None = None
    function: str | None = None
    is_all: bool = False

    @classmethod
    def parse(cls, lines: str | None, function: str | None, is_all: bool) -> "Selection":
        """Read a selection from a user's options: lines `10:20` or `10`, or a function `Class.method`.

        Raises:
            IncoderError: more than one of them is given, or the lines cannot be read.

        >>> Selection.parse("10:20", None, False).lines
        (10, 20)
        """
        if (lines is not None) + (function is not None) + is_all > 1:
            raise IncoderError("--lines, --function and --all exclude each other; choose one")
        return cls(parse_lines(lines) if lines is not None else None, function, is_all)

    def definitions(self, source: PythonSource) -> tuple[Named, ...]:
        """The selected definitions.

        A range of lines selects the definitions that begin in it, or else the innermost one around it.

        Raises:
            IncoderError: there is no such definition, or the name is ambiguous.
        """
        if self.function is not None:
            return (source.find_one(self.function),)
        if self.lines is None:
            return source.definitions
        first, last = self.lines
        source.lines.span(first, last)
        inside = [one for one in source.definitions if first <= one.node.lineno <= last]
        around = [
            one
            for one in source.definitions
            if one.first_line <= first and last <= (one.node.end_lineno or 0)
        ]
        if not inside and not around:
            raise IncoderError(f"there is no function or class in the lines {first}:{last}")
        return tuple(inside) or (around[-1],)

    def has(self, source: PythonSource, line: int, owner: str) -> bool:
        """Whether the selection includes something in this line that belongs to the definition `owner`.

        Raises:
            IncoderError: the file has no such lines, or no such definition.
        """
        if self.function is not None:
            name = source.find_one(self.function).name
            return owner == name or owner.startswith(f"{name}.")
        if self.lines is None:
            return True
        first, last = self.lines
        source.lines.span(first, last)
        return first <= line <= last

    def span(self, text: str) -> tuple[int, int]:
        """The range of the selected lines in the text; a definition must be Python's.

        Raises:
            IncoderError: the text has no such lines, or no such definition.
        """
        if self.lines is not None:
            return Lines(text).span(*self.lines)
        if self.function is not None:
            source = PythonSource(text)
            return source.span(source.find_one(self.function))
        return start_of(text), len(text)


def parse_lines(lines: str) -> tuple[int, int]:
    """Read the first and the last line from `10:20`, `10-20` or `10`.

    Raises:
        IncoderError: the text is not such a range.
    """
    first, _, last = lines.replace("-", ":").partition(":")
    if not (first.strip().isdecimal() and (last or first).strip().isdecimal()):
        raise IncoderError(f"--lines are FIRST:LAST, such as 10:20, both counted; got {lines}")
    return int(first), int(last or first)
