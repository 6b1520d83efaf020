"""Programs: work that waits for a model now and then, and does not care who else the model works for.

A program is a generator: it yields what it wants to read and is sent the logits. `run` runs one alone; the
engine (engine/engine.py) runs many, and reads for all of them in the same steps. So a fill with several
holes, a beam search, a score are batched without knowing it. Closing a program ends it between two steps.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from incoder.inference.language_model import Sequences

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Read:
    """What a program waits for: `Sequences.read(rows)`, or `read_each(rows)` where `each` is set."""

    sequences: Sequences
    rows: Sequence[Sequence[int]]
    each: bool = False


Program = Generator[Read, Tensor, T]


def run(program: Program[T]) -> T:
    """Run one program to its end, alone."""
    try:
        read = next(program)
        while True:
            sequences, rows = read.sequences, read.rows
            read = program.send(sequences.read_each(rows) if read.each else sequences.read(rows))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        program.close()
