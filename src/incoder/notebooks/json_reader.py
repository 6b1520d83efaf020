"""Reads a JSON text piece by piece, with the offsets of its values, so that a part of it can be replaced.

A value that nobody looks at is skipped at the speed of Python's own decoder and is not kept, so that the
images in a large notebook cost no memory.
"""

import re
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder, dumps
from typing import Any

from incoder.errors import IncoderError

_SPACE = re.compile(r"[ \t\n\r]*")
_ESCAPE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.")
# Numbers stay text, so that none is too long to be converted.
_decode = JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).raw_decode


class JsonReader:
    """A place in a JSON text. `members` and `items` go through a container, whose values the caller reads.

    Every method raises IncoderError with the line and column if the text is not JSON.

    >>> reader = JsonReader('{"a": [1, "x"], "b": 2}')
    >>> [(name, reader.value()) for name in reader.members()]
    [('a', ['1', 'x']), ('b', '2')]
    """

    def __init__(self, text: str, offset: int = 0) -> None:
        self.text = text
        self.offset = offset

    def next_character(self) -> str:
        """Skip white space and return the character there, which shows the kind of value; "" at the end."""
        found = _SPACE.match(self.text, self.offset)
        self.offset = found.end() if found else self.offset
        return self.text[self.offset : self.offset + 1]

    def members(self) -> Iterator[str]:
        """Yield the name of each member of an object; the caller reads its value before the next one."""
        for _ in self._separated("{", "}"):
            name = self.value() if self.next_character() == '"' else None
            if not isinstance(name, str):
                raise self.error("a name in double quotes is missing")
            self._take(":")
            yield name

    def items(self) -> Iterator[int]:
        """Yield the index of each item of an array; the caller reads its value before the next one."""
        return self._separated("[", "]")

    def value(self) -> Any:
        """Read a value whole; numbers are returned as text."""
        self.next_character()
        try:
            value, self.offset = _decode(self.text, self.offset)
        except JSONDecodeError as error:
            self.offset = error.pos
            raise self.error(error.msg[:1].lower() + error.msg[1:]) from None
        except RecursionError:
            raise self.error("the value nests too deep") from None
        return value

    def end(self) -> None:
        """Check that only white space is left."""
        if self.next_character():
            raise self.error("there is more text after the value")

    def error(self, problem: str) -> IncoderError:
        """Return the error about a problem at this place."""
        line = self.text.count("\n", 0, self.offset) + 1
        column = self.offset - self.text.rfind("\n", 0, self.offset)
        return IncoderError(f"line {line}, column {column}: {problem}")

    def _separated(self, opening: str, closing: str) -> Iterator[int]:
        self._take(opening)
        index = 0
        while self.next_character() != closing or index:
            yield index
            index += 1
            if self.next_character() == closing:
                break
            self._take(",")
        self._take(closing)

    def _take(self, character: str) -> None:
        if self.next_character() != character:
            raise self.error(f"{character} is missing")
        self.offset += 1


def string_offset(text: str, start: int, end: int, place: int) -> int:
    """Return where the character `place` of the string with this span begins in the JSON text.

    >>> string_offset(r'"a\\nb"', 0, 6, 2)
    4
    """
    offset, decoded = start + 1, 0
    while True:
        escape = _ESCAPE.search(text, offset, end)
        plain = (escape.start() if escape else end) - offset
        if escape is None or decoded + plain >= place:
            return offset + place - decoded
        decoded += plain + 1
        offset = escape.end()


def pattern_in_strings(text: str) -> re.Pattern[bytes]:
    """Return a pattern for this text in JSON strings in UTF-8, each character as it is or escaped.

    >>> bool(pattern_in_strings("<é>").search(b'"\\\\u003C\\\\u00e9>"'))
    True
    """
    return re.compile(b"".join(map(_character_pattern, text)))


def _character_pattern(character: str) -> bytes:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(rf"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))
    plain = {re.escape(one) for one in (character, dumps(character, ensure_ascii=False)[1:-1])}
    return rf"(?:{'|'.join(sorted(plain))}|(?i:{escaped}))".encode("utf-8", "surrogateescape")
