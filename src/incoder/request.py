"""A request to a model: a text with holes to fill, or one to complete, and all settings with their ranges.

Every setting is a field of one of three dataclasses; a field with `help` is an option on the command line.
`RequestSettings` (request_settings.py) lists the same names for calls such as `InfillModel.infill(parts,
temperature=0)`; a test compares the two. Imports no torch, so that a command can check its options before it
loads a model.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import PurePath
from typing import Any, Unpack, get_args

from incoder import arguments
from incoder.document import Parts
from incoder.errors import IncoderError
from incoder.request_settings import (
    ALL_STOPPING_RULES,
    LinesWanted,
    PromptSettings,
    RankBy,
    RequestSettings,
    StoppingRule,
    current_names,
    refuse_unknown,
    warn_renamed,
)
from incoder.sampling_params import SamplingParams as SamplingParams
from incoder.sampling_params import help_text

MAX_CANDIDATES = 1024  # generated together, each with keys and values of its own in memory
MAX_ALTERNATIVES = 100  # per token; each is kept with its bytes until the request ends


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptOptions:
    """The context that a model reads with a text, and how the prompt begins the infill.

    The extension of `path` names the language. `other_files` by path, the most important last, come before
    the text as far as they fit, with the name of the `repository`: in the model's own format if it was
    trained on whole repositories, otherwise as comments. `attributes` such as `filename` or `dstars` are for
    models that were trained with them (paper, appendix A.4). The last `num_tail_lines` of the prefix, the
    start of the hole's own line counted as one, are given as the start of the infill (the prefix tail,
    prompts/prefix_tail.py); None means as many as the model was trained with. With `token_healing`, an infill
    may begin in the middle of a word as if the prefix had not been cut there.

    Raises:
        IncoderError: a value of the wrong kind or outside of its range.

    >>> PromptOptions(path="a.py").path.suffix
    '.py'
    """

    path: PurePath | None = None
    other_files: Mapping[str, str] = field(default_factory=dict)
    repository: str = "project"
    attributes: Mapping[str, str] = field(default_factory=dict)
    num_tail_lines: int | None = field(
        default=None,
        metadata=help_text(
            "Begin each infill with this many lines before its hole; the hole's own is the first."
        ),
    )
    token_healing: bool = field(
        default=True,
        metadata=help_text(
            "Let an infill begin inside a word as if the text had not been cut there (import nu<FILL>)."
        ),
    )

    def __post_init__(self) -> None:
        arguments.normalise(self, arguments.path, "path")
        arguments.normalise(self, arguments.texts_by_name, "other_files", "attributes")
        arguments.normalise(self, arguments.text, "repository")
        arguments.normalise(self, arguments.optional(arguments.whole_number), "num_tail_lines")
        arguments.normalise(self, arguments.switch, "token_healing")
        if self.num_tail_lines is not None and self.num_tail_lines < 0:
            raise IncoderError(f"num_tail_lines must be at least 0, got {self.num_tail_lines}")


@dataclass(frozen=True, slots=True, kw_only=True)
class InfillRequest:
    """Fill the holes between `parts`, complete a single part, or continue after the tokens `prompt_ids`.

    A request without either is a template: `for_parts` makes requests with its settings. The model reads
    `prompt_ids` unchanged, special tokens included; they may not be longer than its context.

    `rank_by` ranks candidates by their mean or total log-probability, or by the total plus that of the full
    text read left to right (if the time limit allows). With "syntax", candidates that add syntax errors to
    the text around their holes come last, before them those that leave more names unbound than others (in
    Python), each by their totals, and the others first, by the full text. "none"
    keeps all of them, equal ones too, in the order in which they were written. With `greedy_first`, the first
    candidate takes the most probable tokens, and only the others are drawn. With `branches`, it does too, and
    for one hole or a completion the others branch off it at other probable tokens, at most `num_candidates`
    in all (decoding/branches.py). Only models that run here make branches.

    The `stopping_rules` end an infill where the text around the hole shows that it should have ended, and not
    before (decoding/stopping_rules/); "tails" also changes the prompt. `lines` ends it earlier: "one" at the
    end of its line, "block" at the end of the block that begins at the hole, "auto" at the end of the line
    unless a block begins at the hole.

    Each token of the result has the `num_alternatives` most probable tokens in its place; with `echo`, the
    result also has the prompt's tokens with their log-probabilities. Requests with different `cache_salt`s
    share no cached blocks, so that the speed of one reveals nothing about the text of another. Generation
    ends at the `deadline`, an instant of `time.monotonic()`, or after the time limit, whichever is earlier;
    the result has the text written until then. Unless a request `allows_tags`, no answer contains the tags of
    training documents (tags.py).

    With a `project`, a folder, the model's distribution is mixed with what follows the same tokens in that
    project's other files and in the text itself (inference/memory/). Log-probabilities are then the
    mixture's. The saved version of the file at the prompt's `path` is not looked at.

    Raises:
        IncoderError: a value of the wrong kind or outside of its range.

    >>> InfillRequest(parts=("def f(", "):\\n    return ", "\\n")).num_infills
    2
    """

    parts: tuple[str, ...] = ()
    prompt_ids: tuple[int, ...] | None = None
    sampling: SamplingParams = field(default_factory=SamplingParams)
    prompt: PromptOptions = field(default_factory=PromptOptions)
    num_candidates: int = field(
        default=1,
        metadata=help_text("Candidates to generate; the best one is the result. Equal ones count once."),
    )
    rank_by: RankBy = field(
        default="mean",
        metadata=help_text(
            "How candidates are ranked: mean is the log-probability per token, and total that of all tokens; "
            "full-text adds that of the filled text, read left to right, and so prefers infills that fit the "
            "text after the hole; syntax does the same, but puts infills last that add syntax errors; none "
            "keeps all in the order in which they were written."
        ),
    )
    greedy_first: bool = False
    branches: bool = False
    stopping_rules: tuple[StoppingRule, ...] = field(
        default=ALL_STOPPING_RULES,
        metadata=help_text(
            "End an infill with the string, line or block that its hole is in, or where it repeats what is "
            "there; leave none blank where something is missing, such as a line that opens a block."
        ),
    )
    lines: LinesWanted | None = field(
        default=None,
        metadata=help_text(
            "End each infill at the end of its line (one), where the block that begins at the hole ends "
            "(block), or with the block only where one begins (auto)."
        ),
    )
    num_alternatives: int = 0
    echo: bool = False
    cache_salt: str = ""
    deadline: float | None = None
    allows_tags: bool = False
    project: PurePath | None = field(
        default=None,
        metadata=help_text(
            "Prefer what the other files of this project have in such places (project memory, "
            "docs/project-memory.md). Its index is stored in your cache folder."
        ),
    )

    def __post_init__(self) -> None:
        self._normalise_kinds()
        if self.prompt_ids is not None and self.parts:
            raise IncoderError("a request has either parts or prompt_ids, got both; leave one of them out")
        if self.prompt_ids == ():
            raise IncoderError(
                "prompt_ids must have a token, got none; give the token that begins a document"
            )
        if not 1 <= self.num_candidates <= MAX_CANDIDATES:
            raise IncoderError(
                f"num_candidates must be in [1, {MAX_CANDIDATES}], since all are kept in memory, got "
                f"{self.num_candidates}"
            )
        if 1 < self.sampling.num_beams < self.num_candidates:
            raise IncoderError(
                f"num_beams must be at least num_candidates, got {self.sampling.num_beams} for "
                f"{self.num_candidates}"
            )
        if self.branches and self.sampling.num_beams > 1:
            raise IncoderError(
                f"branches are for one beam, got num_beams={self.sampling.num_beams}, and a beam search has "
                "candidates of its own; leave one of them out"
            )
        if not 0 <= self.num_alternatives <= MAX_ALTERNATIVES:
            raise IncoderError(
                f"num_alternatives must be in [0, {MAX_ALTERNATIVES}], got {self.num_alternatives}"
            )
        if self.deadline is not None and math.isnan(self.deadline):
            raise IncoderError("deadline must be an instant of time.monotonic(), got nan")

    def _normalise_kinds(self) -> None:
        """Refuse values of the wrong kind, and turn NumPy's numbers into Python's."""
        for name, kind in (("sampling", SamplingParams), ("prompt", PromptOptions)):
            if not isinstance(getattr(self, name), kind):
                given = type(getattr(self, name)).__name__
                raise IncoderError(f"{name} must be {kind.__name__}, got {given}")
        ranked_by: Any = self.rank_by
        if isinstance(ranked_by, str) and ranked_by == "whole":  # its name in the previous release
            warn_renamed('rank_by="whole"', 'rank_by="full-text"')
            object.__setattr__(self, "rank_by", "full-text")
        arguments.normalise(self, arguments.texts, "parts")
        arguments.normalise(self, arguments.optional(arguments.token_ids), "prompt_ids")
        arguments.normalise(self, arguments.whole_number, "num_candidates", "num_alternatives")
        arguments.normalise(self, arguments.switch, "echo", "allows_tags", "greedy_first", "branches")
        arguments.normalise(self, arguments.text, "cache_salt")
        arguments.normalise(self, arguments.path, "project")
        arguments.normalise(self, arguments.optional(arguments.number), "deadline")
        arguments.normalise(self, _stopping_rules, "stopping_rules")
        arguments.normalise(self, partial(arguments.one_of, allowed=get_args(RankBy)), "rank_by")
        remedy = "; leave it out for as many as the model writes"
        lines = partial(arguments.one_of, allowed=get_args(LinesWanted), remedy=remedy)
        arguments.normalise(self, arguments.optional(lines), "lines")

    @classmethod
    def from_settings(
        cls, parts: str | Parts | Sequence[str] = (), **settings: Unpack[RequestSettings]
    ) -> "InfillRequest":
        """Return a request from the fields of all three dataclasses, by their names.

        A string is cut at every `<FILL>`. `stop` and `path` may be single strings; None means no stop string,
        bias, file or attribute.

        Raises:
            IncoderError: a value of the wrong kind or outside of its range.
            TypeError: no setting has this name.

        >>> InfillRequest.from_settings("x = <FILL>", temperature=0, path="a.py").sampling.temperature
        0.0
        """
        given = current_names(settings)
        return cls(
            parts=parts_of(parts),
            sampling=SamplingParams(**_taken(given, SamplingParams)),
            prompt=PromptOptions(**_taken(given, PromptOptions)),
            **_taken(given, InfillRequest),
        )

    def for_parts(
        self, parts: Sequence[str], *, stop: Sequence[str] = (), path: str | PurePath | None = None
    ) -> "InfillRequest":
        """Return this request with other parts, more stop strings, and the path of another file.

        >>> InfillRequest().for_parts(["x = ", ""], stop=["\\n"]).sampling.stop
        ('\\n',)
        """
        sampling = replace(self.sampling, stop=(*self.sampling.stop, *stop))
        prompt = self.prompt if path is None else replace(self.prompt, path=PurePath(path))
        return replace(self, parts=tuple(parts), sampling=sampling, prompt=prompt)

    @property
    def num_sequences(self) -> int:
        """The number of candidates generated together: 1 for greedy decoding and for a beam search."""
        differ = self.makes_branches or self.sampling.temperature > 0
        return self.num_candidates if differ and self.sampling.num_beams == 1 else 1

    @property
    def makes_branches(self) -> bool:
        """Whether there are several candidates that branch off the first."""
        return self.branches and self.num_infills == 1 and self.num_candidates > 1

    @property
    def num_infills(self) -> int:
        return max(1, len(self.parts) - 1)


def prompt_options(**settings: Unpack[PromptSettings]) -> PromptOptions:
    """Return prompt options from keywords, as `InfillRequest.from_settings` makes them.

    Raises:
        IncoderError: a value of the wrong kind or outside of its range.
        TypeError: no setting has this name.

    >>> prompt_options(path="a.py", num_tail_lines=2).num_tail_lines
    2
    """
    given = current_names(settings)
    options = PromptOptions(**_taken(given, PromptOptions))
    refuse_unknown(given)
    return options


def parts_of(parts: str | Parts | Sequence[str]) -> tuple[str, ...]:
    """Return the parts of a text with holes; a string is cut at every `<FILL>`.

    Raises:
        IncoderError: a part is not a string.

    >>> parts_of("def f(<FILL>): ...")
    ('def f(', '): ...')
    """
    if isinstance(parts, str):
        parts = Parts.split(parts)
    return arguments.texts("parts", parts.texts if isinstance(parts, Parts) else parts)


def _stopping_rules(name: str, value: Any) -> tuple[str, ...]:
    """The names of stopping rules."""
    given = arguments.items(name, value, "rules")
    return tuple(
        arguments.one_of(f"{name}[{index}]", one, ALL_STOPPING_RULES) for index, one in enumerate(given)
    )


def _taken(given: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    """Remove the fields of this dataclass from the settings and return them."""
    taken = {one.name: given.pop(one.name) for one in fields(kind) if one.name in given}
    if kind is InfillRequest:
        refuse_unknown(given)
    return taken
