"""One hole, or one completion, in all rows of a batch: choose a token, read it, until every row has ended.

Works on token ids and bytes, with a model seen through `Sequences`. Knows no texts, no windows, and nothing
of what stands before or after in the prompt.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from incoder.inference.healing import TokenTable
from incoder.inference.sampling import SamplingParams, choose
from incoder.inference.sequences import Sequences
from incoder.tokenizer.formats import InfillingFormat, choose_format
from incoder.tokenizer.text_tokenizer import TextTokenizer

FinishReason = Literal["end", "stop", "length"]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one row generated.

    `spelling` are the bytes of the fill, without its forced start. `logprobs` has every token that was chosen
    (the forced start's, the end-of-mask, those of the stop string too), under the model's own distribution:
    temperature 1, nothing left out. `unread` are the tokens of the fill that the model has not read yet.
    """

    spelling: bytes
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    unread: tuple[int, ...]


class Vocabulary:
    """Which tokens may be generated, which end a fill, and how they are spelled.

    `layout` is by default the infilling format that the tokenizer tells.
    """

    def __init__(self, tokenizer: TextTokenizer, layout: InfillingFormat | None = None) -> None:
        layout = layout or choose_format(tokenizer)
        self.tokenizer = tokenizer
        self.table = TokenTable(tokenizer)
        self.layout = layout
        self.end_ids = layout.end_of_infill_ids
        self._never = torch.tensor(sorted(layout.never_generated_ids))

    def permitted(self, logits_BV: Tensor, forced: Sequence[bytes]) -> Tensor:
        """The logits, minus infinity where a token must not come next: row i must first spell `forced[i]`."""
        permitted_BV = logits_BV.clone()
        permitted_BV[:, self._never.to(logits_BV.device)] = -torch.inf
        permitted_BV[:, self.tokenizer.vocab_size :] = -torch.inf  # some checkpoints pad their vocabulary
        for row, spelling in enumerate(forced):
            if spelling:
                allowed = torch.from_numpy(self.table.allowed_after(spelling)).to(logits_BV.device)
                permitted_BV[row] = -torch.inf
                permitted_BV[row, allowed] = logits_BV[row, allowed]
        return permitted_BV


def decode(
    sequences: Sequences,
    logits_BV: Tensor,
    *,
    forced: bytes,
    params: SamplingParams,
    streams: Sequence[torch.Generator],
    vocabulary: Vocabulary,
    max_positions: int,
) -> list[Decoded]:
    """Generate in every row until the end-of-mask, a stop string, `max_new_tokens`, or a full context.

    `logits_BV` are those of what the rows have read; each row has a random stream of its own. The fill begins
    after the bytes `forced`, which the first tokens must spell and which do not count as new.
    """
    rows = [_Row(forced, params, max_positions - length, vocabulary) for length in sequences.lengths]
    while live := [index for index, row in enumerate(rows) if row.finish_reason is None]:
        logits_BV = logits_BV[live] if len(live) < len(rows) else logits_BV
        permitted_BV = vocabulary.permitted(logits_BV, [rows[index].forced_left for index in live])
        token_ids = choose(permitted_BV, params, [streams[index] for index in live])
        chosen_B = torch.tensor(token_ids, device=logits_BV.device)
        logprobs_B = logits_BV.gather(1, chosen_B[:, None])[:, 0] - logits_BV.logsumexp(dim=1)
        for index, token_id, logprob in zip(live, token_ids, logprobs_B.tolist(), strict=True):
            rows[index].take(token_id, logprob)
        if any(row.finish_reason is None for row in rows):
            logits_BV = sequences.read([row.next_to_read for row in rows])
    for index, row in enumerate(rows):
        if row.num_read_in_vain:
            sequences.forget(index, row.num_read_in_vain)
    return [row.decoded() for row in rows]


class _Row:
    """One row while it is generated."""

    def __init__(self, forced: bytes, params: SamplingParams, room: int, vocabulary: Vocabulary) -> None:
        self.finish_reason: FinishReason | None = None
        self.num_read_in_vain = 0
        self._vocabulary = vocabulary
        self._forced = forced
        self._params = params
        self._room = room
        self._stops = [stop.encode("utf-8", "surrogateescape") for stop in params.stop]
        self._spelling = b""  # of all tokens, the forced start included
        self._token_ids: list[int] = []
        self._ends: list[int] = []  # where in the spelling each token ends
        self._logprobs: list[float] = []
        self._num_new_tokens = 0
        self._cut: int | None = None  # where in the spelling a stop string begins

    @property
    def forced_left(self) -> bytes:
        return self._forced[len(self._spelling) :]

    @property
    def next_to_read(self) -> list[int]:
        return self._token_ids[-1:] if self.finish_reason is None else []

    def take(self, token_id: int, logprob: float) -> None:
        self._logprobs.append(logprob)
        if token_id in self._vocabulary.end_ids:
            self.finish_reason = "end"
            return
        num_bytes_before = len(self._spelling)
        self._token_ids.append(token_id)
        self._spelling += self._vocabulary.tokenizer.token_bytes(token_id)
        self._ends.append(len(self._spelling))
        self._num_new_tokens += len(self._spelling) > len(self._forced)
        self._cut = self._stop_after(num_bytes_before)
        if self._cut is not None:
            self.finish_reason = "stop"
            self.num_read_in_vain = len(self._token_ids) - 1 - bisect_right(self._ends, self._cut)
        elif self._num_new_tokens >= self._params.max_new_tokens or len(self._token_ids) >= self._room:
            self.finish_reason = "length"

    def decoded(self) -> Decoded:
        assert self.finish_reason is not None
        unread = self._token_ids[-1:] if self.finish_reason == "length" else []
        if self._cut is not None:  # the stop string may begin inside a token
            num_kept = bisect_right(self._ends, self._cut)
            start = self._ends[num_kept - 1] if num_kept else 0
            unread = self._vocabulary.tokenizer.encode_bytes(self._spelling[start : self._cut])
        return Decoded(
            self._spelling[len(self._forced) : self._cut],
            tuple(self._logprobs),
            self.finish_reason,
            tuple(unread),
        )

    def _stop_after(self, num_bytes_before: int) -> int | None:
        """Where the first stop string begins, if one ends in the bytes after `num_bytes_before`."""
        places = []
        for stop in self._stops:
            start = max(len(self._forced), num_bytes_before - len(stop) + 1)
            places.append(self._spelling.find(stop, start))
        return min((place for place in places if place >= 0), default=None)
