"""The interface between generation and a network: two Protocols, and the generation coroutine.

`Sequences` and `LanguageModel` are Protocols. cached_sequences.py implements them with a key/value cache;
tests have an implementation that recomputes everything at every step.

Everything that generates or scores is a generation coroutine: a generator that yields a `Forward` request and
is sent its logits. `run_alone` runs a single one. The engine (engine/engine.py) runs many and computes their
requests in the same steps, so several holes, a beam search and a score are batched without knowing of each
other. Closing a coroutine ends it between two steps.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import Tensor

T = TypeVar("T")


class Sequences(Protocol):
    """Rows of token ids that are extended side by side; the keys and values of each row stay cached."""

    @property
    def lengths(self) -> Sequence[int]:
        """The number of tokens in each row."""

    @property
    def num_cached_tokens(self) -> int:
        """The number of tokens that were found in the cache, computed for earlier sequences."""

    def forward(self, rows: Sequence[Sequence[int]], *, all_logits: bool = False) -> Tensor:
        """Append tokens to every row; return the logits (float32, B × V) after each row's last token.

        Rows may get different numbers of tokens. The logits of a row without new tokens are meaningless. With
        `all_logits`, the result has the logits after every appended token instead (T × V), row after row.
        """

    def rollback(self, row: int, num_tokens: int) -> None:
        """Remove this many tokens from the end of a row, with their keys and values."""

    def select(self, rows: Sequence[int]) -> None:
        """Keep only these rows, in this order. A row that is named twice is forked."""

    def close(self) -> None:
        """Free the rows' memory. Nothing may be appended afterwards."""


class LanguageModel(Protocol):
    """A network, its cache and its limits."""

    @property
    def max_positions(self) -> int:
        """The maximum context length, in tokens."""

    def open(self, num_slots: int, cache_salt: str = "") -> Sequences:
        """Open one empty row. The cache reserves `num_slots` slots for each row.

        The row shares cached tokens with sequences of the same salt only.
        """

    def logprobs(self, token_ids: Sequence[int]) -> Tensor:
        """Return the log-probability (float32, T - 1) of every token but the first, given those before it."""


@dataclass(frozen=True, slots=True)
class Forward:
    """A request for `sequences.forward(rows, all_logits=all_logits)`."""

    sequences: Sequences
    rows: Sequence[Sequence[int]]
    all_logits: bool = False


Generation = Generator[Forward, Tensor, T]


def run_alone(generation: Generation[T]) -> T:
    """Run one generation coroutine to its end; return its result.

    May be called from several threads: coroutines of one model take turns step by step.

    >>> def generation():
    ...     return "done"
    ...     yield
    >>> run_alone(generation())
    'done'
    """
    try:
        request = next(generation)
        while True:
            logits = request.sequences.forward(request.rows, all_logits=request.all_logits)
            request = generation.send(logits)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        generation.close()
