"""The state of one infill while it is generated, token by token: its bytes, its end, and the reason.

Works on token ids and bytes. Knows no model, and nothing of the rest of the prompt.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

from incoder.inference.decoding.infill_text import InfillText
from incoder.inference.decoding.stopping_rules.stopping import StoppingRules
from incoder.inference.text_vocabulary import TextVocabulary
from incoder.results import FinishReason
from incoder.sampling_params import SamplingParams

Ranking = Sequence[tuple[int, float]]  # token ids with their log-probabilities, the most probable first


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first tokens of an infill if they are chosen in advance; the model has read all but the last."""

    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    rankings: tuple[Ranking, ...] = ()

    @property
    def num_read(self) -> int:
        return max(0, len(self.token_ids) - 1)

    @property
    def total_logprob(self) -> float:
        return sum(self.logprobs)


@dataclass(frozen=True, slots=True)
class Decoded:
    """The generated infill of one sequence.

    `spelling` are the bytes of the infill, without its required prefix. `token_ids`, `logprobs` and
    `rankings` have every chosen token, including the required prefix, the end token and a stop string, under
    the model's own distribution: temperature 1, over all tokens. `read` are the tokens of the required prefix
    and the infill that the model has read, `unread` the tokens of the infill that it has not read yet. Of the
    draft tokens, some were accepted. `permitted` has, if it was asked for, the most probable tokens that were
    permitted in the place of each chosen one. An infill that `is_repeated` was written by stricter rules.
    """

    spelling: bytes
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    read: tuple[int, ...] = ()
    unread: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()
    rankings: tuple[Ranking, ...] = ()
    num_draft_tokens: int = 0
    num_accepted_tokens: int = 0
    permitted: tuple[Ranking, ...] = ()
    is_repeated: bool = False

    def written(self, vocabulary: TextVocabulary) -> bytes:
        """Return all bytes that were written: the required prefix, the infill, and what was cut off."""
        tokenizer = vocabulary.tokenizer
        return b"".join(tokenizer.token_bytes(one) for one in self.token_ids if one not in vocabulary.end_ids)

    def ending_at(self, num_bytes: int, num_required: int, vocabulary: TextVocabulary) -> "Decoded":
        """Return the same infill, ended after `num_bytes`; the required prefix before it has `num_required`.

        What the model has read of it may be longer.
        """
        written, end = self.written(vocabulary), num_required + num_bytes
        sizes = [len(vocabulary.tokenizer.token_bytes(one)) for one in self.read]
        num_read = bisect_right([*accumulate(sizes)], end)
        return replace(
            self,
            spelling=written[num_required:end],
            finish_reason="stop" if end < len(written) else self.finish_reason,
            read=self.read[:num_read],
            unread=tuple(vocabulary.tokenizer.encode_bytes(written[sum(sizes[:num_read]) : end])),
        )


class SequenceState:
    """One infill while it is generated; its sequence can have `max_tokens` more tokens."""

    def __init__(
        self,
        required_prefix: bytes,
        params: SamplingParams,
        max_tokens: int,
        vocabulary: TextVocabulary,
        context: Sequence[int] = (),
        stopping: StoppingRules | None = None,
        left_context: Sequence[int] = (),
        beginning: Beginning = Beginning(),
    ) -> None:
        self._arguments = (required_prefix, params, max_tokens, vocabulary, context, stopping, left_context)
        self.beginning = beginning
        self.finish_reason: FinishReason | None = None
        self.num_to_roll_back = 0  # tokens that the model has read after the end of the infill
        self.num_draft_tokens = self.num_accepted_tokens = 0
        self._vocabulary = vocabulary
        self._num_healed = len(required_prefix)
        self._text = InfillText(required_prefix, params, stopping)
        self._params = params
        self._max_tokens = max_tokens
        self._left_context = [*left_context]
        self._token_ids: list[int] = []
        self._ends: list[int] = []  # where in the spelling each token ends
        self._logprobs: list[float] = []
        self._rankings: list[Ranking] = []
        self._permitted: list[Ranking] = []
        self._is_repeated = False
        self._refused: list[int] = []  # tokens that must not come next
        self._num_new_tokens = 0
        self._end_id: int | None = None
        # Without end tokens of other infills: the penalty must not make this infill less likely to end.
        self._seen = set(context) - vocabulary.end_ids if params.repetition_penalty != 1 else set()
        self._counts: Counter[int] = Counter()
        for taken in zip(beginning.token_ids, beginning.logprobs, beginning.rankings, strict=True):
            self.take(*taken)

    def copy(self) -> "SequenceState":
        """Return a copy of the infill so far, to be continued with other tokens."""
        fork = copy(self)
        fork._text = copy(self._text)
        fork._token_ids, fork._ends = [*self._token_ids], [*self._ends]
        fork._logprobs, fork._rankings = [*self._logprobs], [*self._rankings]
        fork._permitted = [*self._permitted]
        fork._seen, fork._counts = set(self._seen), self._counts.copy()
        return fork

    @property
    def required_left(self) -> bytes:
        """The bytes that the next tokens must spell before they are free."""
        return self._text.required_next

    @property
    def forbidden(self) -> bytes | None:
        """The bytes that the next token must not begin with; None if none will be from here on."""
        return self._text.forbidden

    @property
    def allowed_ids(self) -> Sequence[int] | None:
        """The only ids that the next token may have; None if it may have any."""
        return None if self._logprobs else self._params.allowed_first_ids

    @property
    def is_constrained(self) -> bool:
        """Whether some tokens must not come next, or may be forbidden later."""
        return (
            bool(self.required_left or self._refused)
            or self._text.may_require
            or self.forbidden is not None
            or self.allowed_ids is not None
        )

    @property
    def refused_ids(self) -> Sequence[int]:
        """The tokens that must not come next, because a rule does not permit the infill that they make."""
        return self._refused

    def is_refused(self, token_id: int) -> bool:
        """Whether a rule does not permit this token as the next one."""
        is_end = token_id in self._vocabulary.end_ids
        return self._text.refuses(None if is_end else self._vocabulary.tokenizer.token_bytes(token_id))

    @property
    def is_to_be_repeated(self) -> bool:
        """Whether the infill has ended in a way for which the rules ask for another one."""
        if self.finish_reason in (None, "time"):
            return False
        if not self._text.asks_for_another(is_whole=self.finish_reason != "length"):
            return False
        given = b"".join(map(self._vocabulary.tokenizer.token_bytes, self.beginning.token_ids))
        return not given or self._text.stricter().may_begin_so(given)

    def not_refused(self, ranking: Ranking) -> Ranking:
        """Return the tokens that may come next, without those that have no probability."""
        return [one for one in ranking if one[1] > -math.inf and not self.is_refused(one[0])]

    @property
    def num_read(self) -> int:
        """The number of the infill's tokens that the model has read, once it has ended."""
        return len(self._token_ids) - (self._end_id is None)

    def repeated(self) -> "SequenceState":
        """Return the state at the start of another infill of the same hole, with stricter rules.

        Its first tokens are the same if they were chosen in advance.
        """
        required_prefix, params, max_tokens, vocabulary, context, stopping, left_context = self._arguments
        assert stopping is not None
        strict = stopping.stricter()
        state = SequenceState(
            required_prefix, params, max_tokens, vocabulary, context, strict, left_context, self.beginning
        )
        state._is_repeated = True
        state.num_draft_tokens, state.num_accepted_tokens = self.num_draft_tokens, self.num_accepted_tokens
        return state

    def refuse(self, token_ids: Sequence[int]) -> None:
        """Refuse tokens as the next one."""
        self._refused = [*self._refused, *token_ids]

    @property
    def seen(self) -> Collection[int]:
        """The tokens to which the repetition penalty applies."""
        return self._seen

    @property
    def counts(self) -> Mapping[int, int]:
        """The number of times that each token was written; empty without presence and frequency penalties."""
        return self._counts

    @property
    def left_context(self) -> list[int]:
        """The last tokens of the text before the hole, then those of the infill so far."""
        return self._left_context + self._token_ids

    @property
    def last_token_id(self) -> int:
        return self._token_ids[-1] if self._end_id is None else self._end_id

    @property
    def max_draft_tokens(self) -> int:
        """The longest draft that leaves one token to choose; 0 while a prefix is required."""
        num_new = self._params.max_new_tokens - self._num_new_tokens
        return 0 if self.required_left else min(num_new, self._max_tokens - len(self._token_ids)) - 1

    @property
    def next_to_read(self) -> list[int]:
        return self._token_ids[-1:] if self.finish_reason is None else []

    def take(self, token_id: int, logprob: float, ranking: Ranking = (), permitted: Ranking = ()) -> None:
        """Append a chosen token.

        The `ranking` has the most probable tokens in its place, `permitted` the most probable permitted ones.
        """
        self._refused = []
        self._logprobs.append(logprob)
        self._rankings.append(ranking)
        self._permitted.append(permitted)
        if token_id in self._vocabulary.end_ids:
            self._end_id = token_id
            self.finish_reason = "end" if self._text.finish() is None else "stop"
            self._count_to_roll_back(len(self._token_ids))
            return
        self._seen.add(token_id)
        self._token_ids.append(token_id)
        cut = self._text.append(self._vocabulary.tokenizer.token_bytes(token_id))
        num_bytes = len(self._text.spelling)
        self._ends.append(num_bytes)
        if self._params.counts_tokens and num_bytes > self._num_healed:
            self._counts[token_id] += 1  # the infill has it, not only the required prefix
        self._num_new_tokens += num_bytes > len(self._text.required)
        if cut is not None:
            self.finish_reason = "stop"
            self._count_to_roll_back(len(self._token_ids) - 1)
        elif self._num_new_tokens >= self._params.max_new_tokens or len(self._token_ids) >= self._max_tokens:
            self.end("length")

    def end(self, reason: Literal["length", "time"]) -> None:
        """End the infill at its last token, for a reason other than its text."""
        self.finish_reason = reason
        self._text.finish()
        self._count_to_roll_back(len(self._token_ids) - (reason == "length"))

    def decoded(self) -> Decoded:
        assert self.finish_reason is not None
        num_read = len(self._token_ids) - (self.finish_reason == "length")
        unread = self._token_ids[num_read:]
        cut = self._text.cut
        if cut is not None:  # the cut may be inside a token; the last token was not read
            num_chosen = len(self._token_ids) - (self._end_id is None)
            num_read = min(bisect_right(self._ends, cut), num_chosen)
            start = self._ends[num_read - 1] if num_read else 0
            unread = self._vocabulary.tokenizer.encode_bytes(self._text.spelling[start:cut])
        end_ids = [] if self._end_id is None else [self._end_id]
        return Decoded(
            self._text.infill,
            tuple(self._logprobs),
            self.finish_reason,
            tuple(self._token_ids[:num_read]),
            tuple(unread),
            (*self._token_ids, *end_ids),
            tuple(self._rankings),
            self.num_draft_tokens,
            self.num_accepted_tokens,
            tuple(self._permitted),
            self._is_repeated,
        )

    def newly_committed(self) -> bytes:
        """Return the bytes of the infill that can no longer be retracted and were not returned before."""
        return self._text.newly_committed(is_finished=self.finish_reason is not None)

    def _count_to_roll_back(self, num_read: int) -> None:
        if self._text.cut is not None:
            self.num_to_roll_back = max(0, num_read - bisect_right(self._ends, self._text.cut))
