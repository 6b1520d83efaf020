"""Programs to execute: with tests that assert, or with inputs and expected outputs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Program:
    """Source code, and tests that run after it in its namespace; it passes if nothing raises."""

    source: str
    tests: str = ""


@dataclass(frozen=True, slots=True)
class OutputTest:
    """The text on a program's stdin, and the accepted outputs, of which it must print one."""

    stdin: str
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MainProgram:
    """A program that runs as a process of its own for each test; it passes if all outputs are right.

    Its exit status must be 0. Its output is compared outside its process (output_comparison.py).
    """

    source: str
    tests: tuple[OutputTest, ...]

    def __post_init__(self) -> None:
        assert self.tests, "without a test everything would pass"


AnyProgram = Program | MainProgram
