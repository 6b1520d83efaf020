"""The defaults of an infill: how many candidates are drawn, how much they differ, and how they are ranked.

`InfillModel.infill` and `incoder fill` have them. All other requests draw one candidate by default.
"""

from typing import Final

from incoder.request_settings import RequestSettings

# The temperature of several candidates: they have to differ. docs/mini.md has the measurement.
SEVERAL_TEMPERATURE: Final = 0.8

# Candidates by the number of parameters, up to the one given. Above the last size one is drawn. With mini,
# five take twice the time of one (benchmarks/ranking.py).
_NUM_CANDIDATES: Final = ((100_000_000, 5),)


def num_candidates_for(num_parameters: int) -> int:
    """Return how many candidates an infill draws with a model of this size by default.

    >>> num_candidates_for(26_700_000), num_candidates_for(1_300_000_000)
    (5, 1)
    """
    return next((number for most, number in _NUM_CANDIDATES if num_parameters <= most), 1)


def with_infill_defaults(
    settings: RequestSettings, num_candidates: int, num_holes: int = 1
) -> RequestSettings:
    """Return the settings of an infill of one hole with `num_candidates` drawn unless they say otherwise.

    A temperature of 0 and a beam search keep to one candidate unless a number is given. Several candidates
    are ranked by syntax first; the first of them is greedy, and the others are drawn at a higher temperature
    than one, unless all are to be kept as they were drawn (`rank_by="none"`). For several holes one is drawn
    at the usual temperature, since a candidate fills them all and is right only if every infill is.

    >>> with_infill_defaults({}, 5)
    {'num_candidates': 5, 'rank_by': 'syntax', 'greedy_first': True, 'temperature': 0.8}
    >>> with_infill_defaults({"temperature": 0}, 5)
    {'temperature': 0, 'num_candidates': 1}
    """
    chosen = settings.copy()
    is_search = chosen.get("num_beams", 1) != 1
    is_drawn = chosen.get("temperature") != 0 and not is_search and num_holes == 1
    chosen.setdefault("num_candidates", num_candidates if is_drawn else 1)
    if chosen["num_candidates"] != 1 and not is_search:
        chosen.setdefault("rank_by", "syntax")
        chosen.setdefault("greedy_first", chosen["rank_by"] != "none")
        if num_holes == 1:
            chosen.setdefault("temperature", SEVERAL_TEMPERATURE)
    return chosen
