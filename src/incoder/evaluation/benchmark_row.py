"""Rows of benchmark files as dataclasses, checked field by field."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


def reader(row_type: type[T]) -> Callable[[Mapping[str, Any], int], T]:
    """From a row and its number to this dataclass; fields that it does not know are left out.

    The reader raises ValueError, which says in one line what is wrong with which field.
    """
    adapter = TypeAdapter(row_type)

    def read(row: Mapping[str, Any], number: int) -> T:
        del number
        try:
            return adapter.validate_python(row)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the row"
            raise ValueError(f"{where}: {first['msg']}") from error

    return read
