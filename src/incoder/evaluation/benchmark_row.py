"""Rows of benchmark files as dataclasses: their common fields, and the check of each field."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from incoder.evaluation.benchmark import Task

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BenchmarkRow(Task):
    """A task that is a row of a file and has an id; by default it is a problem of its own."""

    task_id: str

    @property
    def key(self) -> str:
        return self.task_id

    @property
    def problem(self) -> str:
        return self.task_id


@dataclass(frozen=True, slots=True)
class ProjectRow(BenchmarkRow):
    """A row from a project: a repository, or a package. Rows of one project are one problem."""

    project: str

    @property
    def problem(self) -> str:
        return self.project


def reader(row_type: type[T]) -> Callable[[Mapping[str, Any], int], T]:
    """Make a function that reads a row into this dataclass; it ignores fields that the class does not have.

    The function takes a row and its number. It raises ValueError with one line on the first wrong field.

    >>> from incoder.evaluation.benchmarks.cloze import Cloze
    >>> row = {"task_id": "1", "project": "p", "prefix": "x = ", "suffix": "(a)", "answer": "max"}
    >>> reader(Cloze)(row, 1).gold
    'max'
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
