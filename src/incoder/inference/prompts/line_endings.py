"""The form of a text that models read: lines end with `\\n`, and there is no byte order mark.

Models are trained on files with Unix line ends. The text around the holes is never rebuilt from this form;
only the line ends of infills are converted back.
"""

from collections.abc import Sequence

BYTE_ORDER_MARK = "\ufeff"
UNIX, WINDOWS, OLD_MAC = "\n", "\r\n", "\r"


def line_end(texts: Sequence[str]) -> str:
    """Return the line end of most lines in a text; a lone `\\r` counts only if there is no `\\n` at all.

    >>> line_end(["a\\r\\nb"])
    '\\r\\n'
    """
    num_newlines = sum(text.count("\n") for text in texts)
    if not num_newlines:
        return OLD_MAC if any(OLD_MAC in text for text in texts) else UNIX
    num_windows = sum(text.count(WINDOWS) for text in texts)
    return WINDOWS if 2 * num_windows > num_newlines else UNIX


def as_model_sees(texts: Sequence[str]) -> list[str]:
    """Return the parts of a text with `\\n` for its line ends, without a byte order mark at the start.

    >>> as_model_sees(["\\ufeffa\\r\\nb"])
    ['a\\nb']
    """
    is_old_mac = line_end(texts) == OLD_MAC
    unix = [text.replace(OLD_MAC, UNIX) if is_old_mac else to_unix(text) for text in texts]
    unix[0] = unix[0].removeprefix(BYTE_ORDER_MARK)
    return unix


def to_unix(text: str) -> str:
    """Replace Windows line ends.

    >>> to_unix("a\\r\\nb")
    'a\\nb'
    """
    return text.replace(WINDOWS, UNIX)


def with_line_end(infill: str, end: str) -> str:
    """Return an infill with `end` instead of `\\n`.

    >>> with_line_end("a\\nb", "\\r\\n")
    'a\\r\\nb'
    """
    return infill if end == UNIX else to_unix(infill).replace(UNIX, end)
