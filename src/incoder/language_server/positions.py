"""Positions in a line: the units of a client's encoding, and the code points of Python's strings."""

from collections.abc import Sequence

from lsprotocol import types

Encoding = types.PositionEncodingKind

_CONTINUATION = bytes(range(0x80, 0xC0))  # the bytes of UTF-8 that begin no character
_SUPPORTED = {one.value: one for one in (Encoding.Utf8, Encoding.Utf16, Encoding.Utf32)}


def chosen_encoding(offered: Sequence[str] | None) -> Encoding:
    """Return the encoding to use: utf-8 if the client offers it, else its first choice that we know.

    Without an offer it is utf-16, which all clients support.

    >>> chosen_encoding(["utf-16", "utf-8"]).value, chosen_encoding(None).value
    ('utf-8', 'utf-16')
    """
    known = [_SUPPORTED[one] for one in offered or () if one in _SUPPORTED]
    if Encoding.Utf8 in known:
        return Encoding.Utf8
    return known[0] if known else Encoding.Utf16


def to_column(line: str, units: int, encoding: Encoding) -> int:
    """Return the code points before a position of `units` in a line without its line end.

    A position after the end of the line is its end; one within a character is the character's beginning.

    >>> to_column("😀x", 2, Encoding.Utf16), to_column("😀x", 4, Encoding.Utf8)
    (1, 1)
    """
    if encoding is Encoding.Utf32 or line.isascii():
        return min(units, len(line))
    if encoding is Encoding.Utf8:
        data = line.encode("utf-8", "surrogatepass")
        is_cut = units < len(data) and data[units] in _CONTINUATION
        return len(data[:units].translate(None, _CONTINUATION)) - is_cut
    data = line.encode("utf-16-le", "surrogatepass")
    before = data[: 2 * units].decode("utf-16-le", "surrogatepass")
    return len(before) - (before != line[: len(before)])  # else it ends with half a surrogate pair


def to_units(line: str, column: int, encoding: Encoding) -> int:
    """Return the units of the first `column` code points of a line.

    >>> to_units("😀x", 1, Encoding.Utf16), to_units("😀x", 1, Encoding.Utf8)
    (2, 4)
    """
    before = line[:column]
    if encoding is Encoding.Utf32 or before.isascii():
        return len(before)
    if encoding is Encoding.Utf8:
        return len(before.encode("utf-8", "surrogatepass"))
    return len(before.encode("utf-16-le", "surrogatepass")) // 2
