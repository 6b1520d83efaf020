"""Checks for the arguments of public calls: each returns the value in one form, or raises an IncoderError.

NumPy's numbers become Python's. `name` is the argument's name in the message. Imports no torch.
"""

import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any

from incoder.errors import IncoderError

Check = Callable[[str, Any], Any]

_MAX_WHOLE = 2**64  # Python refuses to print numbers of thousands of digits, and none is meant


def normalise(instance: object, check: Check, *names: str) -> None:
    """Replace these fields of a frozen dataclass with the values that `check` returns for them."""
    for name in names:
        object.__setattr__(instance, name, check(name, getattr(instance, name)))


def optional(check: Check) -> Check:
    """Return the same check, but with None allowed.

    >>> optional(whole_number)("top_k", None) is None
    True
    """
    return lambda name, value: None if value is None else check(name, value)


def whole_number(name: str, value: Any) -> int:
    """Return an integer of any library as Python's; refuse everything else, True and False included.

    >>> whole_number("seed", 3)
    3
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise IncoderError(f"{name} must be a whole number, got {_shown(value)}")
    whole = int(value)
    if abs(whole) > _MAX_WHOLE:
        raise IncoderError(f"{name} must be a whole number of at most 64 bits, got a larger one")
    return whole


def number(name: str, value: Any) -> float:
    """Return a number of any library as a float, which may be infinite; refuse True and False.

    >>> number("temperature", 0)
    0.0
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise IncoderError(f"{name} must be a number, got {_shown(value)}")
    try:
        return float(value)
    except OverflowError as error:
        raise IncoderError(f"{name} must be a number that fits into a float") from error


def switch(name: str, value: Any) -> bool:
    """Return True or False; refuse other values, even if Python would treat them as one of these.

    >>> switch("echo", 1)
    Traceback (most recent call last):
    incoder.errors.IncoderError: echo must be True or False, got 1
    """
    if not isinstance(value, bool):
        raise IncoderError(f"{name} must be True or False, got {_shown(value)}")
    return value


def text(name: str, value: Any) -> str:
    """Return a string that can be encoded as UTF-8; `surrogateescape` turns U+DC80 to U+DCFF back into bytes.

    >>> text("prompt", "def f(")
    'def f('
    """
    if not isinstance(value, str):
        raise IncoderError(f"{name} must be a string, got {_shown(value)}")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise IncoderError(
            f"{name} has the lone surrogate {value[error.start]!r} at {error.start}; only U+DC80 to U+DCFF "
            "are allowed, for bytes that are not UTF-8"
        ) from error
    return value


def one_of(name: str, value: Any, allowed: Collection[str], remedy: str = "") -> str:
    """One of a few strings."""
    if not isinstance(value, str) or value not in allowed:
        raise IncoderError(f"{name} must be one of {', '.join(allowed)}, got {_shown(value)}{remedy}")
    return value


def items(name: str, value: Any, kind: str) -> tuple[Any, ...]:
    """What is in a sequence of such a kind; a string is refused, because its characters would be its items.

    NumPy's and PyTorch's scalars are refused, too, which claim to be iterable.
    """
    is_text = isinstance(value, str | bytes)
    if not is_text and isinstance(value, Iterable):
        try:
            return tuple(value)
        except TypeError:
            pass
    given = type(value).__name__ if is_text else _shown(value)
    raise IncoderError(f"{name} must be a sequence of {kind}, got {given}")


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Return a sequence of strings; refuse a single string, whose characters would become the sequence.

    >>> texts("stop", ["a", "b"])
    ('a', 'b')
    """
    return tuple(text(f"{name}[{index}]", one) for index, one in enumerate(items(name, value, "strings")))


def texts_by_name(name: str, value: Any) -> dict[str, str]:
    """Return a mapping of strings to strings.

    >>> texts_by_name("attributes", {"dstars": "5"})
    {'dstars': '5'}
    """
    if not isinstance(value, Mapping):
        raise IncoderError(f"{name} must be a mapping of strings to strings, got {_shown(value)}")
    return {text(f"a key of {name}", key): text(f"{name}[{key!r}]", one) for key, one in value.items()}


def token_ids(name: str, value: Any) -> tuple[int, ...]:
    """Return a sequence of token ids, none of them negative.

    >>> token_ids("prompt_ids", [5, 3])
    (5, 3)
    """
    given = items(name, value, "token ids")
    ids = tuple(whole_number(f"{name}[{index}]", one) for index, one in enumerate(given))
    for index, one in enumerate(ids):
        if one < 0:
            raise IncoderError(f"{name}[{index}] must be a token id, which is at least 0, got {one}")
    return ids


def numbers_by_id(name: str, value: Any) -> dict[int, float]:
    """Return a mapping of token ids to numbers.

    >>> numbers_by_id("logit_bias", {7: -1})
    {7: -1.0}
    """
    if not isinstance(value, Mapping):
        raise IncoderError(f"{name} must map token ids to numbers, got {_shown(value)}")
    ids = [whole_number(f"a token id of {name}", one) for one in value]
    return dict(zip(ids, [number(f"a {name}", one) for one in value.values()], strict=True))


def path(name: str, value: Any) -> PurePath | None:
    """Return a path, which need not exist, or None.

    >>> path("path", "a.py").suffix
    '.py'
    """
    if value is None:
        return None
    if not isinstance(value, str | PurePath):
        raise IncoderError(f"{name} must be a string or a path, got {_shown(value)}")
    return PurePath(text(name, str(value)))


def _shown(value: object) -> str:
    """The value if it is short and says something, else its type."""
    if isinstance(value, int) and abs(value) > _MAX_WHOLE:
        return f"a number of {value.bit_length()} bits"
    if value is None or isinstance(value, int | float | str):
        return reprlib.repr(value)
    return type(value).__name__
