"""A Transformer as generation sees one: what any sequence has read stays in one cache of blocks.

This is the engine (engine/) behind the interface that generation already had, rather than beside it: holes,
candidates, windows and keystrokes are all sequences that begin alike, so each finds what the others left
behind, and nothing above knows. A sequence alone lies in one run of blocks and is read as a view, as fast
as a cache of its own would be.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from incoder.inference.backends.eager_step import lay_out_for_steps
from incoder.inference.engine.forking import check_process
from incoder.inference.engine.reading import Reading, step
from incoder.inference.engine.runner import Runner
from incoder.model.transformer import Transformer

_CHUNK = 512  # positions whose logits are held at once when scoring: 100 MB in float32 with 50,000 tokens


class CachedSequences:
    """`Sequences` that read nothing twice; starts with one empty row."""

    def __init__(self, runner: Runner, num_slots: int) -> None:
        self.runner = runner
        self._rows = [runner.open(num_slots)]

    @property
    def lengths(self) -> list[int]:
        return [len(row) for row in self._rows]

    def start(self, rows: Sequence[Sequence[int]], *, all_logits: bool = False) -> list[Reading | None]:
        """What there is to read in each row; the caller sees to it that it is read."""
        assert any(rows)
        return [
            Reading(sequence, row, all_logits=all_logits) if row else None
            for sequence, row in zip(self._rows, rows, strict=True)
        ]

    def forward(self, rows: Sequence[Sequence[int]], *, all_logits: bool = False) -> Tensor:
        readings = self.start(rows, all_logits=all_logits)
        active = [reading for reading in readings if reading is not None]
        while any(reading.num_left for reading in active):
            step(self.runner, active)
        return logits_of(readings)

    def rollback(self, row: int, num_tokens: int) -> None:
        sequence = self._rows[row]
        sequence.truncate(len(sequence) - num_tokens)

    def select(self, rows: Sequence[int]) -> None:
        old, self._rows = self._rows, []
        used = set()
        for row in rows:
            self._rows.append(old[row].fork() if row in used else old[row])
            used.add(row)
        self.runner.close([sequence for row, sequence in enumerate(old) if row not in used])

    def close(self) -> None:
        self.runner.close(self._rows)
        self._rows = []


def logits_of(readings: Sequence[Reading | None]) -> Tensor:
    """What was read, one row after the other.

    Rows without a reading have logits that mean nothing, or none where each token's were wanted.
    """
    some = next(reading for reading in readings if reading is not None)
    if len(readings) == 1:
        return some.logits()
    nothing = torch.zeros_like(some.logits()[: 0 if some.all_logits else 1])
    return torch.cat([nothing if reading is None else reading.logits() for reading in readings])


class TransformerModel:
    """A Transformer as a `LanguageModel`, which takes it over: its weights can no longer be trained.

    It keeps the cache of `num_blocks` blocks, by default of 1 GiB or one context, whichever is more.
    """

    def __init__(self, transformer: Transformer, num_blocks: int | None = None) -> None:
        lay_out_for_steps(transformer)
        self.transformer = transformer
        self.runner = Runner(transformer, num_blocks)

    @property
    def max_positions(self) -> int:
        return self.transformer.config.max_positions

    def open(self, num_slots: int) -> CachedSequences:
        check_process()
        return CachedSequences(self.runner, num_slots)

    def logprobs(self, token_ids: Sequence[int]) -> Tensor:
        check_process()
        device = self.transformer.device
        token_ids_T = torch.tensor(token_ids, device=device)
        hidden_TD = self.transformer(token_ids_T[None, :-1])[0]
        chunks = []
        for start in range(0, max(1, len(hidden_TD)), _CHUNK):
            logits_CV = self.transformer.logits(hidden_TD[start : start + _CHUNK]).float()
            next_C = token_ids_T[1 + start : 1 + start + _CHUNK]
            chunks.append(logits_CV.gather(1, next_C[:, None])[:, 0] - logits_CV.logsumexp(dim=1))
        return torch.cat(chunks)
