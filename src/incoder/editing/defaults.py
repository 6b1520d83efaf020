"""The request template of each editing tool: how many candidates, how daring, and how long they may be.

The Python functions, the options of the commands and the servers take their defaults from here.
"""

from typing import Final

from incoder.request import InfillRequest, SamplingParams


def _template(num_candidates: int, temperature: float, max_new_tokens: int) -> InfillRequest:
    sampling = SamplingParams(temperature=temperature, max_new_tokens=max_new_tokens)
    return InfillRequest(num_candidates=num_candidates, sampling=sampling)


DOCSTRING: Final = _template(3, 0.4, 96)
TYPES: Final = _template(5, 0.4, 24)
RENAME: Final = _template(5, 0.6, 8)
FIX: Final = _template(8, 0.6, 64)
EDIT: Final = _template(5, 0.4, 128)
ASK: Final = _template(1, 0.4, 256)
NEXT_EDIT: Final = _template(1, 0.0, 32)
ATTRIBUTES: Final = _template(5, 0.6, 16)
