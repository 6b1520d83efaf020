"""A Transformer as a `LanguageModel`: all sequences of all requests share one key/value cache of blocks.

Holes, candidates, windows of a long file and keystrokes are all sequences with a common prefix, which each
finds in the cache without the caller's help. A single sequence is one extent, which attention reads as a
view: as fast as a cache of its own.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from incoder.inference.backends.eager_step import store_column_major
from incoder.inference.engine.forking import check_process
from incoder.inference.engine.runner import Runner
from incoder.inference.engine.scheduled_sequence import ScheduledSequence, step
from incoder.model.transformer import Transformer

_CHUNK = 512  # positions whose logits are held at once when scoring: 100 MB in float32 with 50,000 tokens


class CachedSequences:
    """`Sequences` over the shared cache, with one empty row at first.

    Different `CachedSequences` of one model may be used from different threads.
    """

    def __init__(self, runner: Runner, num_slots: int, cache_salt: str = "") -> None:
        self.runner = runner
        self._prefills: list[ScheduledSequence] = []
        self._rows = [runner.open(num_slots, cache_salt)]

    @property
    def lengths(self) -> list[int]:
        return [len(row) for row in self._rows]

    @property
    def num_cached_tokens(self) -> int:
        return sum(sequence.num_cached or 0 for sequence in self._prefills)

    def schedule(self, rows: Sequence[Sequence[int]], *, all_logits: bool = False) -> list[ScheduledSequence]:
        """Return the rows with their new tokens. The caller starts and computes them."""
        assert any(rows)
        scheduled = [
            ScheduledSequence(sequence, row, all_logits=all_logits)
            for sequence, row in zip(self._rows, rows, strict=True)
        ]
        if not any(self.lengths):
            self._prefills = scheduled
        return scheduled

    def forward(self, rows: Sequence[Sequence[int]], *, all_logits: bool = False) -> Tensor:
        scheduled = self.schedule(rows, all_logits=all_logits)
        with self.runner.lock:
            for sequence in scheduled:
                sequence.start()
        while any(sequence.num_left for sequence in scheduled):
            step(self.runner, [scheduled])
        return logits_of(scheduled, all_logits=all_logits)

    def rollback(self, row: int, num_tokens: int) -> None:
        with self.runner.lock:
            self._rows[row].rollback(num_tokens)

    def select(self, rows: Sequence[int]) -> None:
        old, self._rows = self._rows, []
        used = set()
        with self.runner.lock:
            for row in rows:
                self._rows.append(old[row].fork() if row in used else old[row])
                used.add(row)
            self.runner.close([sequence for row, sequence in enumerate(old) if row not in used])

    def close(self) -> None:
        with self.runner.lock:
            self.runner.close(self._rows)
        self._rows = []


def logits_of(scheduled: Sequence[ScheduledSequence], *, all_logits: bool) -> Tensor:
    """Return the logits of all rows, concatenated.

    A row without new tokens has meaningless logits, or none with `all_logits`.
    """
    first = next(sequence for sequence in scheduled if sequence.has_logits)
    if len(scheduled) == 1:
        return first.logits()
    nothing = torch.zeros_like(first.logits()[: 0 if all_logits else 1])
    return torch.cat([sequence.logits() if sequence.has_logits else nothing for sequence in scheduled])


class TransformerModel:
    """A `LanguageModel` that owns its Transformer, whose weights can no longer be trained.

    The cache keeps `num_blocks` blocks between requests: by default as many as fit into 1 GiB, but at least
    one context and at most 16. `max_context` makes the maximum context length smaller than the network's.
    """

    def __init__(
        self, transformer: Transformer, num_blocks: int | None = None, max_context: int | None = None
    ) -> None:
        store_column_major(transformer)
        self.transformer = transformer
        self.runner = Runner(transformer, num_blocks)
        self._max_positions = min(max_context or math.inf, transformer.config.max_positions)

    @property
    def max_positions(self) -> int:
        return int(self._max_positions)

    def open(self, num_slots: int, cache_salt: str = "") -> CachedSequences:
        check_process()
        return CachedSequences(self.runner, num_slots, cache_salt)

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
