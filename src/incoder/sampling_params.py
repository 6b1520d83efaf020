"""The settings of sampling, with their ranges. Imports no torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from incoder import arguments
from incoder.errors import IncoderError

# Nearly greedy: a single infill is close to the most probable one, and several still differ. Chen et al.
# (2021, arXiv 2107.03374) found 0.2 best for Codex's pass@1 on HumanEval.
DEFAULT_TEMPERATURE = 0.2

MAX_BEAMS = 1024  # generated together, each with keys and values of its own in memory
_MAX_PENALTY = 2.0  # the range of OpenAI's API, which clients assume

# Beyond these, a logit may become infinite, and the difference of two such ones is no number.
_MAX_BIAS = 1e30
_MAX_REPETITION_PENALTY = 1e6


def help_text(text: str) -> Mapping[str, str]:
    """Return the metadata of a field that is an option of the command line, with this explanation.

    >>> help_text("The longest infill, in tokens.")
    {'help': 'The longest infill, in tokens.'}
    """
    return {"help": text}


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """The settings that choose the tokens of an infill or a completion, and end it.

    `temperature` 0 is greedy decoding. `top_k` None and `top_p` 1 keep every token. Candidate i draws its
    random numbers from `seed`, i and the prompt: it does not depend on the number of candidates, and other
    prompts draw other numbers. A `stop` string ends an infill where it first appears and is not part of it.
    `min_p` removes tokens that are less probable than this share of the most probable one.
    `repetition_penalty` divides positive logits of tokens that were read or written before, and multiplies
    negative ones. `presence_penalty` is subtracted from the logits of tokens that the infill has already,
    `frequency_penalty` once for each of their occurrences. `logit_bias` is added to the logits of its token
    ids. The first token of every infill is one of `allowed_first_ids`, if given. `time_limit` is in seconds,
    for all holes; `decode_time_limit` too, but without the prefill of the first prompt. `speculate` allows
    prompt-lookup drafts, which save time and never change the output. With more than one beam (`num_beams`),
    beam search replaces sampling; beam_search.py explains `length_penalty` and `early_stopping`. An infill
    ends after `max_lines` finished lines; newlines at its beginning do not count.

    Raises:
        IncoderError: a value of the wrong kind or outside of its range.

    >>> SamplingParams(temperature=0).takes_the_greatest
    True
    """

    temperature: float = field(
        default=DEFAULT_TEMPERATURE,
        metadata=help_text("0 always takes the most probable token; higher values vary more."),
    )
    top_p: float = field(
        default=0.95,
        metadata=help_text("Draw from the most probable tokens that together reach this share."),
    )
    top_k: int | None = field(default=None, metadata=help_text("Draw from this many tokens at most."))
    max_new_tokens: int = field(default=128, metadata=help_text("The longest infill, in tokens."))
    seed: int = field(default=0, metadata=help_text("With the same seed the result is the same."))
    stop: tuple[str, ...] = field(
        default=(), metadata=help_text("End an infill before this text; \\n is a line end. Repeatable.")
    )
    num_beams: int = field(
        default=1,
        metadata=help_text("Search for the most probable infills with this many beams instead of sampling."),
    )
    time_limit: float | None = field(
        default=None, metadata=help_text("Seconds for each file; the infills written by then are kept.")
    )
    decode_time_limit: float | None = None
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    allowed_first_ids: tuple[int, ...] | None = None
    speculate: bool = True
    length_penalty: float = 1.0
    early_stopping: bool = False
    max_lines: int | None = None

    def __post_init__(self) -> None:
        self._normalise_kinds()
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise IncoderError(f"temperature must be at least 0 (0 is greedy), got {self.temperature:g}")
        if not 0 < self.top_p <= 1:
            raise IncoderError(f"top_p must be in (0, 1], got {self.top_p:g}")
        if self.top_k is not None and self.top_k < 1:
            raise IncoderError(
                f"top_k must be at least 1, got {self.top_k}; leave it out to keep every token"
            )
        if self.max_new_tokens < 1:
            raise IncoderError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        if self.max_lines is not None and self.max_lines < 1:
            raise IncoderError(f"max_lines must be at least 1, got {self.max_lines}")
        if not 0 <= self.seed < 2**63:
            raise IncoderError(f"seed must be in [0, 2^63), got {self.seed}")
        if "" in self.stop:
            raise IncoderError("a stop string must not be empty")
        if not 0 <= self.min_p <= 1:
            raise IncoderError(f"min_p must be in [0, 1], got {self.min_p:g}")
        least, greatest = 1 / _MAX_REPETITION_PENALTY, _MAX_REPETITION_PENALTY
        if not least <= self.repetition_penalty <= greatest:
            raise IncoderError(
                f"repetition_penalty must be greater than 0 (1 for none), in [{least:g}, {greatest:g}], got "
                f"{self.repetition_penalty:g}"
            )
        _check_penalty("presence_penalty", self.presence_penalty)
        _check_penalty("frequency_penalty", self.frequency_penalty)
        for token_id, bias in self.logit_bias.items():
            if not -_MAX_BIAS <= bias <= _MAX_BIAS:
                raise IncoderError(
                    f"a logit_bias must be a finite number in [-{_MAX_BIAS:g}, {_MAX_BIAS:g}], got {bias:g} "
                    f"for token {token_id}"
                )
        if self.allowed_first_ids == ():
            raise IncoderError(
                "allowed_first_ids must name a token, got none; leave it out to allow every token"
            )
        if not 1 <= self.num_beams <= MAX_BEAMS:
            raise IncoderError(
                f"num_beams must be in [1, {MAX_BEAMS}], since all are kept in memory, got {self.num_beams}"
            )
        if not math.isfinite(self.length_penalty):
            raise IncoderError(f"length_penalty must be a finite number, got {self.length_penalty:g}")
        for name in ("time_limit", "decode_time_limit"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise IncoderError(f"{name} must be greater than 0 seconds, got {limit:g}")

    @property
    def takes_the_greatest(self) -> bool:
        """Whether the token with the greatest unchanged logit is chosen."""
        return self.temperature == 0 and not self.changes_logits

    @property
    def changes_logits(self) -> bool:
        """Whether a bias or a penalty changes logits."""
        return bool(self.logit_bias) or self.repetition_penalty != 1 or self.counts_tokens

    @property
    def counts_tokens(self) -> bool:
        """Whether a penalty depends on how often a token was written."""
        return self.presence_penalty != 0 or self.frequency_penalty != 0

    def _normalise_kinds(self) -> None:
        """Refuse values of the wrong kind, and turn NumPy's numbers into Python's."""
        arguments.normalise(self, arguments.whole_number, "max_new_tokens", "seed", "num_beams")
        arguments.normalise(self, arguments.optional(arguments.whole_number), "top_k", "max_lines")
        arguments.normalise(self, arguments.number, "temperature", "top_p", "min_p", "repetition_penalty")
        arguments.normalise(self, arguments.number, "presence_penalty", "frequency_penalty", "length_penalty")
        arguments.normalise(self, arguments.optional(arguments.number), "time_limit", "decode_time_limit")
        arguments.normalise(self, arguments.switch, "speculate", "early_stopping")
        arguments.normalise(self, arguments.texts, "stop")
        arguments.normalise(self, arguments.numbers_by_id, "logit_bias")
        arguments.normalise(self, arguments.optional(arguments.token_ids), "allowed_first_ids")


def _check_penalty(name: str, value: float) -> None:
    if not -_MAX_PENALTY <= value <= _MAX_PENALTY:
        raise IncoderError(
            f"{name} must be in [-{_MAX_PENALTY:g}, {_MAX_PENALTY:g}] (0 for none), got {value:g}"
        )
