"""Which part of a file is meant: some lines, a definition by its name, or all that lack something."""

from dataclasses import dataclass

from incoder.editing.lines import Lines, start_of
from incoder.editing.python_source import Named, PythonSource
from incoder.errors import IncoderError


@dataclass(frozen=True, slots=True)
class Selection:
    """One of these: a range of lines (both counted), the name of a definition, or everything."""

    lines: tuple[int, int] | None = None
    function: str | None = None
    is_all: bool = False

    @classmethod
    def parse(cls, lines: str | None, function: str | None, is_all: bool) -> "Selection":
        """From what a user gives: `10:20` or `10`, `Class.method`, or neither.

        Raises:
            IncoderError: more than one of them, or lines that are none.
        """
        if (lines is not None) + (function is not None) + is_all > 1:
            raise IncoderError("--lines, --function and --all exclude each other; choose one")
        return cls(parse_lines(lines) if lines is not None else None, function, is_all)

    def definitions(self, source: PythonSource) -> tuple[Named, ...]:
        """The definitions that are meant: of lines, those that begin there or else the innermost around.

        Raises:
            IncoderError: there are none, or the name is ambiguous.
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
        """Whether something in this line, that belongs to the definition `owner`, is meant.

        Raises:
            IncoderError: there are no such lines, or no such definition.
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
        """The range of whole lines that is meant; a definition must be Python's.

        Raises:
            IncoderError: there is no such range.
        """
        if self.lines is not None:
            return Lines(text).span(*self.lines)
        if self.function is not None:
            source = PythonSource(text)
            return source.span(source.find_one(self.function))
        return start_of(text), len(text)


def parse_lines(lines: str) -> tuple[int, int]:
    """First and last line from `10:20`, `10-20` or `10`.

    Raises:
        IncoderError: these are no lines.
    """
    first, _, last = lines.replace("-", ":").partition(":")
    if not (first.strip().isdecimal() and (last or first).strip().isdecimal()):
        raise IncoderError(f"--lines are FIRST:LAST, such as 10:20, both counted; got {lines}")
    return int(first), int(last or first)
