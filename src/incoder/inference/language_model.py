"""What generation and scoring know of a network: sequences that it reads on, and log-probabilities.

The implementation with a key/value cache is in cached_sequences.py; tests have one that reads everything
again at every step, and one that has a mind of its own instead of weights.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


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
