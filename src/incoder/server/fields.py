"""The fields of a request's JSON body, read one by one: every kind and every range is checked here.

Bodies are untrusted. Numbers are finite and bounded in all fields, also in those that nothing reads. Texts
are strings that can be encoded: an editor may cut a character in half, and its halves become U+FFFD. A null
is a field that was left out, because clients send both. Fields that nothing reads may hold anything else. An
error names the field, the value and the rule, but never repeats a string, which may be code.

Knows no dialect: each turns a `FieldError` into an answer of its own shape.
"""

import json
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

from incoder.errors import IncoderError, shown, shown_name

MAX_DEPTH = 32  # of nested lists and objects; the deepest request of a known client has 4
MAX_NUMBER = 2**64  # of every number's absolute value
MAX_PROMPTS = 256
MAX_STOPS = 256  # known clients send up to 14
MAX_STOP_LENGTH = 1024  # characters
MAX_ITEMS = 1024  # of a list of objects
MAX_TOKEN_ID = 2**31

Default = TypeVar("Default")
Prompt = tuple[str | int, ...]  # texts and token ids, joined in order; a plain text is one of one item


class FieldError(IncoderError):
    """A field is missing, of the wrong kind or outside of its range; `field` is its path in the body."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Fields:
    """The fields of a JSON object. `path` is where the object is in the body, for errors.

    Every reader takes the value of a missing field or a null as its default. A wrong value raises
    `FieldError`.

    >>> body = Fields.parse(b'{"n_predict": 16, "stop": null}')
    >>> body.whole("n_predict", -1, -1, 2**31), body.stops("stop")
    (16, ())
    >>> body.whole("n_predict", 1, 1, 8)
    Traceback (most recent call last):
    incoder.server.fields.FieldError: n_predict must be a whole number in [1, 8], got 16
    """

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self._values = values
        self._path = path

    @classmethod
    def parse(cls, raw: bytes) -> "Fields":
        """Return the fields of a body, whatever its content type; bytes that are not UTF-8 become U+FFFD.

        Raises:
            FieldError: the body is no JSON object, nests too deep, or has a number outside of the bounds.
        """
        try:
            value = json.loads(raw.decode("utf-8-sig", "replace"), parse_int=_whole_of)
        except RecursionError as error:
            raise _nests_too_deep() from error
        except json.JSONDecodeError as error:
            given = f"an error at character {error.pos}: {error.msg}" if raw.strip() else "an empty body"
            raise FieldError("", f"the body must be a JSON object, got {given}") from error
        if not isinstance(value, dict):
            raise FieldError("", f"the body must be a JSON object, got {_shown(value)}")
        _check_numbers(value)
        return cls(value)

    def __contains__(self, name: str) -> bool:
        """Whether the field has a value other than null."""
        return self._values.get(name) is not None

    @property
    def names(self) -> list[str]:
        """The names of all fields, for an object that maps names to values."""
        return list(self._values)

    def without(self, *names: str) -> "Fields":
        """Return the other fields, for a reader that takes these in another way."""
        return Fields({name: one for name, one in self._values.items() if name not in names}, self._path)

    def is_text(self, name: str) -> bool:
        """Whether the field is a string, for one that may be something else."""
        return isinstance(self._values.get(name), str)

    def is_list(self, name: str) -> bool:
        """Whether the field is a list, for one that may be something else."""
        return isinstance(self._values.get(name), list)

    def has_effect(self, name: str) -> bool:
        """Whether a field, whatever its kind, asks for something: it is not null, false, 0 or empty.

        >>> Fields({"grammar": "", "format": "json"}).has_effect("grammar")
        False
        """
        return bool(self._values.get(name))

    def first_of(self, *names: str) -> str:
        """Return the first of these names that has a value, else the first: for fields with several names.

        >>> Fields({"max_tokens": 5}).first_of("n_predict", "max_tokens")
        'max_tokens'
        """
        return next((name for name in names if name in self), names[0])

    def text(self, name: str, default: Default) -> str | Default:
        """Return a string."""
        value = self._values.get(name)
        return default if value is None else self._text(name, value)

    def required_text(self, name: str) -> str:
        """Return a string that must be there; it may be empty."""
        value = self.text(name, None)
        if value is None:
            raise self.error(name, "is required, and must be a string")
        return value

    def one_of(self, name: str, default: Default, allowed: Collection[str]) -> str | Default:
        """Return one of a few strings."""
        value = self.text(name, None)
        if value is None:
            return default
        if value not in allowed:
            raise self.error(name, f"must be one of {', '.join(allowed)}, got {shown(value)}")
        return value

    def whole(self, name: str, default: Default, least: int, most: int) -> int | Default:
        """Return a whole number in [least, most]; 16.0 is one, too, since some encoders write it so."""
        value = self._values.get(name)
        if value is None:
            return default
        is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not is_whole or not least <= value <= most:
            raise self.error(name, f"must be a whole number in [{least}, {most}], got {_shown(value)}")
        return int(value)

    def number(self, name: str, default: Default, least: float, most: float) -> float | Default:
        """Return a number in [least, most]."""
        value = self._values.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise self.error(name, f"must be a number in [{least:g}, {most:g}], got {_shown(value)}")
        return float(value)

    def switch(self, name: str, default: bool) -> bool:
        """Return true or false."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(name, f"must be true or false, got {_shown(value)}")
        return value

    def is_switch(self, name: str) -> bool:
        """Whether the field is true or false, for fields that may be something else as well."""
        return isinstance(self._values.get(name), bool)

    def texts(self, name: str, most: int = MAX_ITEMS) -> tuple[str, ...]:
        """Return a list of strings; a single string is a list of one."""
        value = self._values.get(name)
        if isinstance(value, str):
            value = [value]
        return tuple(
            self._text(f"{name}[{index}]", one) for index, one in enumerate(self._items(name, value, most))
        )

    def stops(self, name: str) -> tuple[str, ...]:
        """Return stop strings: each once, without empty ones, which would end every answer at once."""
        found = tuple(dict.fromkeys(one for one in self.texts(name, MAX_STOPS) if one))
        longest = max(map(len, found), default=0)
        if longest > MAX_STOP_LENGTH:
            raise self.error(
                name, f"must hold strings of at most {MAX_STOP_LENGTH} characters, got one of {longest}"
            )
        return found

    def nested(self, name: str) -> "Fields":
        """Return the fields of an object, of an empty one by default."""
        value = self._values.get(name)
        if value is None:
            value = {}
        return self._object(name, value)

    def nested_list(self, name: str, most: int = MAX_ITEMS) -> tuple["Fields", ...]:
        """Return the objects of a list."""
        items = self._items(name, self._values.get(name), most)
        return tuple(self._object(f"{name}[{index}]", one) for index, one in enumerate(items))

    def prompts(self, name: str) -> tuple[Prompt, ...]:
        """Return one or several prompts, none if the field is missing.

        A text is one prompt, and so is a list with token ids, between which there may be texts. Every other
        list has a prompt in each item.

        >>> Fields({"a": "x", "b": ["x", [1, "y"]], "c": [1, "y"]}).prompts("b")
        (('x',), (1, 'y'))
        """
        value = self._values.get(name)
        if value is None:
            return ()
        if isinstance(value, str) or (isinstance(value, list) and any(map(_is_whole, value))):
            return (self._prompt(name, value),)
        items = self._items(name, value, MAX_PROMPTS)
        return tuple(self._prompt(f"{name}[{index}]", one) for index, one in enumerate(items))

    def error(self, name: str, rule: str) -> FieldError:
        """Return the error of a field; `rule` says what it must be, and what it is."""
        field = self._path + name
        return FieldError(field, f"{field} {rule}")

    def _text(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise self.error(name, f"must be a string, got {_shown(value)}")
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _object(self, name: str, value: object) -> "Fields":
        if not isinstance(value, dict):
            raise self.error(name, f"must be an object, got {_shown(value)}")
        return Fields(value, f"{self._path}{name}.")

    def _items(self, name: str, value: object, most: int) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.error(name, f"must be a list, got {_shown(value)}")
        if len(value) > most:
            raise self.error(name, f"must have at most {most} items, got {len(value)}")
        return value

    def _prompt(self, name: str, value: object) -> Prompt:
        if isinstance(value, str):
            return (self._text(name, value),)
        if not isinstance(value, list):
            raise self.error(name, f"must be a string or a list of token ids, got {_shown(value)}")
        for index, one in enumerate(value):
            if not isinstance(one, str) and not (_is_whole(one) and 0 <= one < MAX_TOKEN_ID):
                raise self.error(
                    f"{name}[{index}]", f"must be a token id in [0, {MAX_TOKEN_ID}), got {_shown(one)}"
                )
        return tuple(self._text(name, one) if isinstance(one, str) else one for one in value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole_of(digits: str) -> int | float:
    """Return the number that has these digits; one that is out of every bound is infinite."""
    return int(digits) if len(digits) <= len(str(MAX_NUMBER)) + 1 else math.inf


def _check_numbers(body: dict[str, Any]) -> None:
    """Raise unless all numbers of a body are bounded, and nothing nests too deep."""
    waiting: list[tuple[str, object, int]] = [("", body, 1)]
    while waiting:
        path, value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise _nests_too_deep()
        inside: Iterable[tuple[str, object]] = ()
        if isinstance(value, dict):
            dot = f"{path}." if path else ""
            inside = ((f"{dot}{shown_name(name)}", one) for name, one in value.items())
        elif isinstance(value, list):
            inside = ((f"{path}[{index}]", one) for index, one in enumerate(value))
        for name, one in inside:
            if isinstance(one, dict | list):
                waiting.append((name, one, depth + 1))
            elif isinstance(one, int | float) and not -MAX_NUMBER <= one <= MAX_NUMBER:
                rule = f"must be a number in [-{MAX_NUMBER}, {MAX_NUMBER}]"
                raise FieldError(name, f"{name} {rule}, got {_shown(one)}")


def _nests_too_deep() -> FieldError:
    return FieldError("", f"the body must nest lists and objects at most {MAX_DEPTH} deep")


def _shown(value: object) -> str:
    """Return a value in JSON's words; of a string, a list or an object only its kind: it may be code."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "a larger one" if value > 0 else "a smaller one"
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    return "a string" if isinstance(value, str) else "a list" if isinstance(value, list) else "an object"
