"""The defaults of an infill: how many candidates are written, how they differ, and how they are ranked.

`InfillModel.infill` and `incoder fill` have them. All other requests ask for one candidate by default.
"""

from typing import Final

from incoder.request_settings import RequestSettings

# The temperature of several candidates that are drawn: they have to differ. docs/mini.md has the measurement.
SEVERAL_TEMPERATURE: Final = 0.8

# Candidates by the number of parameters, up to the one given. Above the last size there is one.
_NUM_CANDIDATES: Final = ((100_000_000, 5),)

_DRAWING: Final = ("temperature", "top_p", "top_k", "min_p", "seed")  # settings that only drawing has


def num_candidates_for(num_parameters: int) -> int:
    """Return how many candidates an infill has with a model of this size by default.

    >>> num_candidates_for(26_700_000), num_candidates_for(1_300_000_000)
    (5, 1)
    """
    return next((number for most, number in _NUM_CANDIDATES if num_parameters <= most), 1)


def with_infill_defaults(
    settings: RequestSettings, num_candidates: int, num_holes: int = 1, *, makes_branches: bool = True
) -> RequestSettings:
    """Return the settings of an infill of one hole, with `num_candidates` unless they say otherwise.

    A temperature of 0 and a beam search keep to one candidate unless a number is given. Several candidates
    are ranked by syntax first; the first of them is greedy. The others branch off it if the model
    `makes_branches`, unless the settings have one that only draws have. They are drawn at a higher
    temperature than one; all of them if they are to be kept in their order (`rank_by="none"`). For several
    holes one is drawn at the usual temperature, since a candidate fills them all and is right only if every
    infill is.

    >>> with_infill_defaults({}, 5)
    {'num_candidates': 5, 'rank_by': 'syntax', 'branches': True}
    >>> with_infill_defaults({"seed": 1}, 5)
    {'seed': 1, 'num_candidates': 5, 'rank_by': 'syntax', 'greedy_first': True, 'temperature': 0.8}
    >>> with_infill_defaults({"temperature": 0}, 5)
    {'temperature': 0, 'num_candidates': 1}
    """
    chosen = settings.copy()
    is_greedy = chosen.get("temperature") == 0
    is_search = chosen.get("num_beams", 1) != 1
    is_one = is_greedy or is_search or num_holes > 1
    chosen.setdefault("num_candidates", 1 if is_one else num_candidates)
    if chosen["num_candidates"] == 1 or is_search:
        return chosen
    chosen.setdefault("rank_by", "syntax")
    draws_all = chosen["rank_by"] == "none" or not chosen.get("greedy_first", True)
    draws = not is_greedy and any(settings.get(name) is not None for name in _DRAWING)
    if num_holes == 1 and makes_branches and not draws_all and not draws:
        chosen.setdefault("branches", True)
    if not chosen.get("branches"):
        chosen.setdefault("greedy_first", not draws_all)
        if num_holes == 1:
            chosen.setdefault("temperature", SEVERAL_TEMPERATURE)
    return chosen
