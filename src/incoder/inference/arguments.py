"""Arguments of public calls: each function returns the value in one form, or refuses it by an IncoderError.

NumPy's numbers become Python's. `name` is how the caller calls the argument. Imports no torch.
"""

from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any

from incoder.errors import IncoderError

Check = Callable[[str, Any], Any]


def normalise(instance: object, check: Check, *names: str) -> None:
    """Check these fields of a frozen dataclass, and give them the form that `check` returns."""
    for name in names:
        object.__setattr__(instance, name, check(name, getattr(instance, name)))


def optional(check: Check) -> Check:
    """The same check, which lets None through."""
    return lambda name, value: None if value is None else check(name, value)


def whole_number(name: str, value: Any) -> int:
    """An integer of any library; True and False are none."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise IncoderError(f"{name} must be a whole number, got {value!r}")
    return int(value)


def number(name: str, value: Any) -> float:
    """A number of any library, which need not be finite; True and False are none."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise IncoderError(f"{name} must be a number, got {value!r}")
    return float(value)


def switch(name: str, value: Any) -> bool:
    """True or False, not what counts as such."""
    if not isinstance(value, bool):
        raise IncoderError(f"{name} must be True or False, got {value!r}")
    return value


def text(name: str, value: Any) -> str:
    """A string that UTF-8 can write, where `surrogateescape` makes bytes of lone surrogates."""
    if not isinstance(value, str):
        raise IncoderError(f"{name} must be a string, got {_shown(value)}")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise IncoderError(
            f"{name} has the lone surrogate {value[error.start]!r} at {error.start}; only U+DC80 to U+DCFF "
            "are allowed, which mean bytes that are no UTF-8"
        ) from error
    return value


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Several strings; a single one is refused, as its characters would be taken for them."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise IncoderError(f"{name} must be a sequence of strings, got {_shown(value)}")
    return tuple(text(f"{name}[{index}]", one) for index, one in enumerate(value))


def texts_by_name(name: str, value: Any) -> dict[str, str]:
    """A mapping of strings to strings."""
    if not isinstance(value, Mapping):
        raise IncoderError(f"{name} must be a mapping of strings to strings, got {_shown(value)}")
    return {text(f"a key of {name}", key): text(f"{name}[{key!r}]", one) for key, one in value.items()}


def path(name: str, value: Any) -> PurePath | None:
    """A path that need not exist, or None."""
    if value is None:
        return None
    if not isinstance(value, str | PurePath):
        raise IncoderError(f"{name} must be a string or a path, got {_shown(value)}")
    return PurePath(text(name, str(value)))


def _shown(value: object) -> str:
    return repr(value) if value is None or isinstance(value, int | float) else type(value).__name__
