"""A text as the model knows texts: line ends are `\\n`, and no byte order mark.

Models learn from files with Unix line ends. The text around the holes is never rebuilt from what the model
saw; only the fills are turned back.
"""

from collections.abc import Sequence

BYTE_ORDER_MARK = "\ufeff"


def as_model_sees(texts: Sequence[str]) -> list[str]:
    """The parts of a text with `\\n` for `\\r\\n`, without a byte order mark at the start."""
    unix = [to_unix(text) for text in texts]
    unix[0] = unix[0].removeprefix(BYTE_ORDER_MARK)
    return unix


def to_unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def uses_crlf(texts: Sequence[str]) -> bool:
    """Whether most lines end in `\\r\\n`."""
    num_crlf = sum(text.count("\r\n") for text in texts)
    return 2 * num_crlf > sum(text.count("\n") for text in texts)


def to_crlf(infill: str) -> str:
    return to_unix(infill).replace("\n", "\r\n")
