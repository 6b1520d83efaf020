"""The settings of a request as keywords of a call, under the names of the dataclasses' fields.

Type checkers read them here: `def infill(parts, **settings: Unpack[RequestSettings])`. A test compares them
with the fields in request.py, which have the defaults, the ranges and the explanations.
"""

import difflib
import inspect
import warnings
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final, Literal, TypedDict, get_args

# A candidate's mean or total log-probability; the total plus that of the full text read left to right; this
# sum, after the candidates that add no syntax errors were put first; or not at all: every candidate in the
# order in which they were written.
RankBy = Literal["mean", "total", "full-text", "syntax", "none"]
StoppingRule = Literal[
    "strings",
    "lines",
    "rest",
    "repetition",
    "loops",
    "indentation",
    "brackets",
    "openers",
    "blanks",
    "ends",
    "tails",
]
ALL_STOPPING_RULES: Final[tuple[StoppingRule, ...]] = get_args(StoppingRule)
LinesWanted = Literal["one", "block", "auto"]

RENAMED_SETTINGS: Final[Mapping[str, str]] = {
    "num_lead_lines": "num_tail_lines",
    "edge_rules": "stopping_rules",
    "heal_tokens": "token_healing",
}


class PromptSettings(TypedDict, total=False):
    """The fields of `PromptOptions`, as keywords of a call."""

    path: str | PurePath | None
    other_files: Mapping[str, str] | None
    repository: str
    attributes: Mapping[str, str] | None
    num_tail_lines: int | None
    token_healing: bool

    # Names of the previous release, read for one more.
    num_lead_lines: int | None
    heal_tokens: bool


class RequestSettings(PromptSettings, total=False):
    """All fields of a request but its text, as keywords of `infill` and `complete`."""

    temperature: float
    top_p: float
    top_k: int | None
    max_new_tokens: int
    seed: int
    stop: str | Sequence[str] | None
    num_beams: int
    time_limit: float | None
    decode_time_limit: float | None
    min_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    logit_bias: Mapping[int, float] | None
    allowed_first_ids: Sequence[int] | None
    speculate: bool
    length_penalty: float
    early_stopping: bool
    max_lines: int | None

    num_candidates: int
    rank_by: RankBy
    greedy_first: bool
    branches: bool
    stopping_rules: Sequence[StoppingRule]
    lines: LinesWanted | None
    num_alternatives: int
    echo: bool
    cache_salt: str
    deadline: float | None
    allows_tags: bool
    project: str | PurePath | None

    edge_rules: Sequence[StoppingRule]  # a name of the previous release, read for one more


def current_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings by their present names; warn of each earlier name, and replace None by defaults.

    >>> current_names({"stop": "\\n", "logit_bias": None})
    {'stop': ('\\n',)}
    """
    given = dict(settings)
    for old, new in RENAMED_SETTINGS.items():
        if old in given:
            warn_renamed(old, new)
            given.setdefault(new, given.pop(old))
    if isinstance(stop := given.get("stop", ()), str) or stop is None:
        given["stop"] = (stop,) if stop else ()
    for name in ("logit_bias", "other_files", "attributes"):
        if name in given and given[name] is None:
            del given[name]
    return given


def refuse_unknown(given: Mapping[str, Any]) -> None:
    """Raise TypeError for a name that is no setting, as Python does for an unexpected keyword argument.

    >>> refuse_unknown({"temprature": 0})
    Traceback (most recent call last):
    TypeError: there is no setting 'temprature'; did you mean temperature?
    """
    for name in given:
        known = RequestSettings.__annotations__
        nearest = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise TypeError(f"there is no setting {name!r}{hint}")


def warn_renamed(old: str, new: str) -> None:
    """Warn that a name is read for one more release only."""
    message = f"{old} is now called {new}; the old name will be refused in the next release"
    # Python shows a FutureWarning by default, and a DeprecationWarning only for code in `__main__`.
    warnings.warn(message, FutureWarning, stacklevel=_level_of_the_caller())


def _level_of_the_caller() -> int:
    """Return the number of calls between `warn_renamed` and the first line outside of this package."""
    level, frame = 0, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("incoder"):
        level, frame = level + 1, frame.f_back
    return level
