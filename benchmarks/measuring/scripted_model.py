"""A model that does all of a network's work, but writes a given script.

The gain of speculation depends on the text, and random weights write nothing that resembles an edit.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from incoder.inference.language_model import LanguageModel, Sequences


class ScriptedModel:
    """`model`, with logits that make it write the tokens of `script` after its first prompt."""

    def __init__(self, model: LanguageModel, script: Sequence[int]) -> None:
        self._model, self._script = model, script

    @property
    def max_positions(self) -> int:
        return self._model.max_positions

    def open(self, num_slots: int, cache_salt: str = "") -> Sequences:
        return ScriptedSequences(self._model.open(num_slots, cache_salt), self._script)

    def logprobs(self, token_ids: Sequence[int]) -> Tensor:
        return self._model.logprobs(token_ids)


class ScriptedSequences:
    """One row."""

    def __init__(self, sequences: Sequences, script: Sequence[int]) -> None:
        self._sequences, self._script = sequences, script
        self._prompt_length: int | None = None

    @property
    def num_cached_tokens(self) -> int:
        return self._sequences.num_cached_tokens

    @property
    def lengths(self) -> Sequence[int]:
        return self._sequences.lengths

    def forward(self, rows: Sequence[Sequence[int]], *, all_logits: bool = False) -> Tensor:
        return self._scripted(self._sequences.forward(rows, all_logits=all_logits))

    def rollback(self, row: int, num_tokens: int) -> None:
        self._sequences.rollback(row, num_tokens)

    def select(self, rows: Sequence[int]) -> None:
        self._sequences.select(rows)

    def close(self) -> None:
        self._sequences.close()

    def _scripted(self, logits_TV: Tensor) -> Tensor:
        (length,) = self._sequences.lengths
        if self._prompt_length is None:
            self._prompt_length = length
        first = length - self._prompt_length - len(logits_TV) + 1
        token_ids = [
            self._script[place % len(self._script)] for place in range(first, first + len(logits_TV))
        ]
        places_T1 = torch.tensor(token_ids, device=logits_TV.device)[:, None]
        return torch.zeros_like(logits_TV).scatter_(1, places_T1, 1.0)
