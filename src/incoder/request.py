"""A request to a model: a text with holes to fill, or one to complete, and the settings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal, get_args

from incoder import arguments
from incoder.errors import IncoderError
from incoder.inference.decoding.stopping_rules.stopping import ALL_EDGE_RULES, EdgeRule
from incoder.inference.sampling_params import MAX_CANDIDATES, SamplingParams

# A candidate's mean or total log-probability; or the total, and that of the whole text read left to right.
RankBy = Literal["mean", "total", "whole"]


@dataclass(frozen=True, slots=True)
class InfillRequest:
    """Fill the holes between `texts`, or complete the only one; `InfillModel.infill` explains the settings.

    `path` gives the model and the edge rules the language. Only if a request `allows_tags` may its answer
    contain the tags of training documents (tags.py).

    Raises:
        IncoderError: a value of the wrong kind or outside of its range.
    """

    texts: tuple[str, ...]
    params: SamplingParams = field(default_factory=SamplingParams)
    num_candidates: int = 1
    rank_by: RankBy = "mean"
    path: str | PurePath | None = None
    other_files: Mapping[str, str] = field(default_factory=dict)
    repository: str = "project"
    num_lead_lines: int | None = None
    heal_tokens: bool = True
    edge_rules: tuple[EdgeRule, ...] = ALL_EDGE_RULES
    attributes: Mapping[str, str] = field(default_factory=dict)
    allows_tags: bool = False

    def __post_init__(self) -> None:
        self._normalise_kinds()
        if not 1 <= self.num_candidates <= MAX_CANDIDATES:
            raise IncoderError(
                f"num_candidates must be in [1, {MAX_CANDIDATES}], since all are kept in memory, got "
                f"{self.num_candidates}"
            )
        if 1 < self.params.num_beams < self.num_candidates:
            raise IncoderError(
                f"num_beams must be at least num_candidates, got {self.params.num_beams} for "
                f"{self.num_candidates}"
            )
        unknown = [rule for rule in self.edge_rules if rule not in ALL_EDGE_RULES]
        if unknown:
            raise IncoderError(f"edge_rules are {', '.join(ALL_EDGE_RULES)}, got {unknown[0]!r}")
        if self.num_lead_lines is not None and self.num_lead_lines < 0:
            raise IncoderError(f"num_lead_lines must be at least 0, got {self.num_lead_lines}")
        if self.rank_by not in get_args(RankBy):
            raise IncoderError(f"rank_by must be one of {', '.join(get_args(RankBy))}, got {self.rank_by!r}")

    def _normalise_kinds(self) -> None:
        """Refuse values of the wrong kind, and turn NumPy's numbers into Python's."""
        if not isinstance(self.params, SamplingParams):
            raise IncoderError(f"params must be SamplingParams, got {type(self.params).__name__}")
        if isinstance(self.edge_rules, str) or not isinstance(self.edge_rules, Iterable):
            raise IncoderError(f"edge_rules must be a sequence of rules, got {self.edge_rules!r}")
        arguments.normalise(self, arguments.texts, "texts")
        arguments.normalise(self, arguments.whole_number, "num_candidates")
        arguments.normalise(self, arguments.optional(arguments.whole_number), "num_lead_lines")
        arguments.normalise(self, arguments.path, "path")
        arguments.normalise(self, arguments.texts_by_name, "other_files", "attributes")
        arguments.normalise(self, arguments.text, "repository")
        arguments.normalise(self, arguments.switch, "heal_tokens")
        arguments.normalise(self, lambda _, rules: tuple(rules), "edge_rules")

    @property
    def num_chains(self) -> int:
        """Candidates that are written side by side: greedy decoding has one outcome, beams are one search."""
        is_drawn = self.params.temperature > 0 and self.params.num_beams == 1
        return self.num_candidates if is_drawn else 1

    @property
    def num_fills(self) -> int:
        return max(1, len(self.texts) - 1)
