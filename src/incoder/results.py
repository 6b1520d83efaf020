"""The results of a model: infills and completions with their log-probabilities, and scores of given texts.

Imports no torch, so that editing, evaluation and servers can read the results of any model.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Literal

from incoder.request import InfillRequest

FinishReason = Literal["end", "stop", "length", "time"]


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that the model could have chosen, and its log-probability."""

    token_id: int
    data: bytes
    logprob: float

    @property
    def text(self) -> str:
        """The token as text; bytes that are no whole character appear as U+FFFD."""
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Token:
    """A token that the model chose or read.

    `logprob` is natural, under the model's own distribution: temperature 1, over all tokens. It is None for
    the first token of a prompt, which nothing precedes. `data` is empty for special tokens. `alternatives`
    are the request's `num_alternatives` most probable tokens in this place, the most probable first.
    """

    token_id: int
    data: bytes
    logprob: float | None
    alternatives: tuple[Alternative, ...] = ()

    @property
    def text(self) -> str:
        """The token as text; bytes that are no whole character appear as U+FFFD."""
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One infill of every hole, or one completion.

    `logprob` is the mean log-probability (natural) of the tokens that the model chose, `total_logprob` their
    sum. `finish_reasons[i]` says why infill i ends: "end" (the model ended it), "stop" (a stop string or a
    stopping rule), "length" (`max_new_tokens`, or the context is full), "time" (the time limit; a hole not
    begun by then is left empty). `tokens[i]` are all tokens chosen for infill i, including the required
    prefix (token healing), the end token, and tokens that a stop string or a stopping rule cut off.
    """

    text: str
    infills: tuple[str, ...]
    logprob: float
    total_logprob: float
    finish_reasons: tuple[FinishReason, ...]
    tokens: tuple[tuple[Token, ...], ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of a request: in its prompts, found in the cache, and chosen for all candidates.

    Each prompt of another window or candidate counts. Chosen tokens count for every candidate, also for one
    that equals another. Of the draft tokens (prompt lookup), those that were accepted saved a step each.
    """

    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    num_completion_tokens: int = 0
    num_draft_tokens: int = 0
    num_accepted_tokens: int = 0

    @property
    def num_tokens(self) -> int:
        return self.num_prompt_tokens + self.num_completion_tokens


@dataclass(frozen=True, slots=True)
class Timing:
    """Three instants of a request (`time.monotonic()`): its start, its first logits, and its end.

    A request starts when it leaves the queue.

    >>> timing = Timing(started=1.0, prefilled=1.25, ended=3.0)
    >>> timing.prefill_seconds, timing.decode_seconds
    (0.25, 1.75)
    """

    started: float
    prefilled: float
    ended: float

    @property
    def prefill_seconds(self) -> float:
        """The time in which the first prompt was read."""
        return self.prefilled - self.started

    @property
    def decode_seconds(self) -> float:
        """The time in which the infills were written."""
        return self.ended - self.prefilled


@dataclass(frozen=True, slots=True)
class ShownPrompt:
    """The prompt before the first infill: its token ids, and its text with special tokens by name.

    The infill must begin with `required_prefix`, which token healing removed from the end of the prefix.
    `tokens` are the prompt's tokens with their log-probabilities if the request has `echo`, else empty.
    `other_files` are the names of those that fit, whole or in part.
    """

    text: str
    required_prefix: str
    token_ids: tuple[int, ...]
    tokens: tuple[Token, ...] = ()
    other_files: tuple[str, ...] = ()

    @property
    def num_tokens(self) -> int:
        return len(self.token_ids)


@dataclass(frozen=True, slots=True)
class InfillResult:
    """The candidates, all different, best first: by the request's `rank_by`, or by a beam's score.

    There may be fewer than the request asked for, because equal candidates are kept once, unless they are not
    ranked (`rank_by` "none"). `text`, `infills` and `logprob` are the best candidate's; a completion is one
    infill at the end. Results compare equal if their candidates do, whatever their `usage`, `prompt` and
    `timing`.
    """

    candidates: tuple[Candidate, ...]
    usage: Usage = field(default=Usage(), compare=False)
    prompt: ShownPrompt | None = field(default=None, compare=False, repr=False)
    timing: Timing | None = field(default=None, compare=False, repr=False)

    @property
    def text(self) -> str:
        return self.candidates[0].text

    @property
    def infills(self) -> tuple[str, ...]:
        return self.candidates[0].infills

    @property
    def logprob(self) -> float:
        return self.candidates[0].logprob


@dataclass(frozen=True, slots=True)
class Score:
    """The log-probabilities (natural) of a text's tokens.

    `infill_lengths` are the numbers of tokens of each infill, ends included, if the text is that of several
    infills; `by_infill` are their scores.

    >>> Score((-1.0, -3.0)).mean_logprob
    -2.0
    >>> [infill.total_logprob for infill in Score((-1.0, -3.0, -0.5), infill_lengths=(2, 1)).by_infill]
    [-4.0, -0.5]
    """

    token_logprobs: tuple[float, ...]
    infill_lengths: tuple[int, ...] = ()

    @property
    def by_infill(self) -> "tuple[Score, ...]":
        ends = tuple(accumulate(self.infill_lengths))
        return tuple(Score(self.token_logprobs[start:end]) for start, end in pairwise((0, *ends)))

    @property
    def num_tokens(self) -> int:
        return len(self.token_logprobs)

    @property
    def total_logprob(self) -> float:
        return sum(self.token_logprobs)

    @property
    def mean_logprob(self) -> float:
        """The mean over the tokens; 0 for the empty text."""
        return self.total_logprob / max(1, self.num_tokens)


@dataclass(frozen=True, slots=True)
class TextPiece:
    """The next piece of an infill while it is written; `candidate` and `hole` count from 0.

    The pieces of a hole, joined, are its infill, with the line ends that the model writes (`\\n`). A piece is
    never retracted.
    """

    request: InfillRequest
    candidate: int
    hole: int
    text: str


OnText = Callable[[TextPiece], None]
OnInfill = Callable[[int, int], None]  # called after every infill: the number written, and of all
