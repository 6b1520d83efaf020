"""What is executed: a program with tests that assert, or one with what it reads and should print."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Program:
    """Source text, and tests that run after it among its names; it passes where nothing raises."""

    source: str
    tests: str = ""


@dataclass(frozen=True, slots=True)
class OutputTest:
    """The text on a program's stdin, and the outputs, one of which it must print."""

    stdin: str
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MainProgram:
    """A program that runs as a process of its own for each test; it passes where all outputs are right.

    Its exit status must be 0. What it printed is compared outside of its process (outputs.py).
    """

    source: str
    tests: tuple[OutputTest, ...]

    def __post_init__(self) -> None:
        assert self.tests, "without a test everything would pass"


AnyProgram = Program | MainProgram
