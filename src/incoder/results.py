"""What generation and scoring give back."""

from dataclasses import dataclass

from incoder.inference.decoding.decode_loop import FinishReason


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to fill all holes, or to go on.

    `logprob` is the mean log-probability (natural) of the tokens that the model chose, `total_logprob` their
    sum; see `Decoded` in decode_loop.py for which these are. `finish_reasons[i]` says why
    infill i ends: "end" (the model ended it), "stop" (a stop string, or the edge of the hole), "length"
    (`max_new_tokens`, or the context is full), "time" (the time limit; a hole not begun is left empty).
    """

    text: str
    infills: tuple[str, ...]
    logprob: float
    total_logprob: float
    finish_reasons: tuple[FinishReason, ...]


@dataclass(frozen=True, slots=True)
class InfillResult:
    """The candidates, all different, best first: by mean or total log-probability, or by a beam's score.

    There may be fewer than were asked for: where several came out the same, one is kept. `text` is the whole
    text and `infills` what was written into it; a completion is one infill at the end.
    """

    candidates: tuple[Candidate, ...]

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
class ShownPrompt:
    """The text that a model reads before the first infill; special tokens are written as their names.

    The infill must begin with `required_prefix`, which token healing removed from the end of the prefix.
    """

    text: str
    required_prefix: str
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Score:
    """How probable the model finds a text as a whole document, in natural logarithms."""

    token_logprobs: tuple[float, ...]

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
