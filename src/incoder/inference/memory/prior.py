"""The interface between project memory and decoding: mixed logits and drafts for the tokens so far."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from incoder.inference.memory.lookup import WeightedSegment, draft, longest_continuations
from incoder.inference.memory.mixing import MixingWeights, mix
from incoder.inference.memory.segment import MAX_ORDER


class NextTokenPrior(Protocol):
    """Knowledge about the next token that does not come from the model.

    A context holds the token ids of the text before the next token, the last one last. It is the text to the
    left of it in the file, not what the model read last: with fill-in-the-middle, that may be the suffix.
    """

    def mix(self, logits_BV: Tensor, contexts: Sequence[Sequence[int]]) -> Tensor:
        """The logits of the mixed distribution, a context for each row; the same if nothing is known."""

    def draft(self, context: Sequence[int], max_num_tokens: int) -> list[int]:
        """The tokens that may come next; empty if nothing is known."""


@dataclass(frozen=True, slots=True)
class MemoryPrior:
    """The prior of one request: the project without the open file, and the open file's text.

    `end_ids` are the tokens that end an infill; their probability stays as it is.
    """

    segments: Sequence[WeightedSegment]
    weights: MixingWeights
    end_ids: Collection[int] = field(default=())

    def mix(self, logits_BV: Tensor, contexts: Sequence[Sequence[int]]) -> Tensor:
        """See `NextTokenPrior.mix`."""
        found = [longest_continuations(self.segments, context[-MAX_ORDER:]) for context in contexts]
        return mix(logits_BV, found, self.weights, self.end_ids)

    def draft(self, context: Sequence[int], max_num_tokens: int) -> list[int]:
        """See `NextTokenPrior.draft`."""
        return draft(self.segments, context[-MAX_ORDER:], max_num_tokens)
