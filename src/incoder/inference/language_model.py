"""What generation and scoring know of a network, and how they wait for it.

`Sequences` and `LanguageModel` are Protocols. cached_sequences.py implements them with a key/value cache;
tests have one that reads everything again at every step, and one that follows a script instead of weights.

Everything that generates or scores is a generation coroutine: a generator that yields a `Forward` request and
is sent its logits. `run_alone` runs one by itself. The engine (engine/engine.py) runs many and answers all of
their requests in the same steps, so several holes, a beam search and a score are batched without knowing it.
Closing a coroutine ends it between two steps.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import Tensor

T = TypeVar("T")


class Sequences(Protocol):
    """Rows of token ids, read side by side, each going on where it stopped."""

    @property
    def lengths(self) -> Sequence[int]:
        """How many tokens each row has read."""

    def read(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Read on in every row; the logits (float32, B × V) after each row's last token.

        Rows may read different numbers of tokens. The logits of a row that reads none mean nothing.
        """

    def forget(self, row: int, num_tokens: int) -> None:
        """Take back the last tokens that this row has read."""

    def read_each(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Read on in every row; the logits (float32, T × V) after each token, row after row."""

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; a row named twice goes on twice."""

    def close(self) -> None:
        """Nothing more will be read."""


class LanguageModel(Protocol):
    """A network and its limits."""

    @property
    def max_positions(self) -> int:
        """How many tokens a row can have."""

    def open(self, num_slots: int) -> Sequences:
        """One empty row, with room for this many tokens in each row."""

    def logprobs(self, token_ids: Sequence[int]) -> Tensor:
        """The log-probability (float32, T - 1) of every token but the first, given those before it."""


@dataclass(frozen=True, slots=True)
class Forward:
    """A request for `Sequences.read(rows)`, or for `read_each(rows)` if `all_logits` is set."""

    sequences: Sequences
    rows: Sequence[Sequence[int]]
    all_logits: bool = False


Generation = Generator[Forward, Tensor, T]


def run_alone(generation: Generation[T]) -> T:
    """Run one generation coroutine to its end; return its result."""
    try:
        request = next(generation)
        while True:
            sequences, rows = request.sequences, request.rows
            logits = sequences.read_each(rows) if request.all_logits else sequences.read(rows)
            request = generation.send(logits)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        generation.close()
