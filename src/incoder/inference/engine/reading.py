"""A sequence on its way through the tokens that it is to read, in as many steps as it takes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from incoder.inference.cache.sequence import BlockSequence
from incoder.inference.engine.runner import Chunk, Runner
from incoder.inference.engine.scheduler import share_out

STEP_TOKENS = 512  # a step with more is no faster for each token, and others wait longer


class Reading:
    """Reads `token_ids`; keeps the logits after the last of them, or after each.

    A sequence that is still empty begins with what the cache has of them, unless each has to be seen.
    """

    def __init__(
        self, sequence: BlockSequence, token_ids: Sequence[int], *, all_logits: bool = False
    ) -> None:
        num_adopted = sequence.adopt(token_ids) if not len(sequence) and not all_logits else 0
        self.sequence = sequence
        self.all_logits = all_logits
        self._token_ids = token_ids
        self._num_read = num_adopted
        self._logits: list[Tensor] = []

    @property
    def num_left(self) -> int:
        return len(self._token_ids) - self._num_read

    def next(self, num_tokens: int) -> Chunk:
        """The next tokens to read."""
        start, self._num_read = self._num_read, self._num_read + num_tokens
        num_logits = num_tokens if self.all_logits else int(self.num_left == 0)
        return Chunk(self.sequence, self._token_ids[start : self._num_read], num_logits)

    def take(self, logits_WV: Tensor) -> None:
        """What came of the tokens read last."""
        self._logits.append(logits_WV)

    def logits(self) -> Tensor:
        """num_logits × V; nothing is left to read."""
        return self._logits[-1] if not self.all_logits else torch.cat(self._logits)


def step(runner: Runner, readings: Sequence[Reading], num_tokens: int = STEP_TOKENS) -> None:
    """Let the readings that have tokens left, the oldest first, read some of them."""
    shares = share_out([reading.num_left for reading in readings], num_tokens)
    active = [(reading, share) for reading, share in zip(readings, shares, strict=True) if share]
    for (reading, _), logits_WV in zip(
        active, runner.run([reading.next(share) for reading, share in active]), strict=True
    ):
        reading.take(logits_WV)
