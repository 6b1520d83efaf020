"""Settings of generation are in their ranges and of Python's own kinds."""

from typing import Any

import numpy as np
import pytest

from incoder.errors import IncoderError
from incoder.sampling_params import SamplingParams


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"top_p": 1.4}, r"top_p must be in \(0, 1\], got 1.4"),
        ({"top_p": 0}, "top_p must be in"),
        ({"temperature": -1}, "temperature must be at least 0"),
        ({"temperature": float("nan")}, "temperature must be at least 0"),
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"seed": -1}, "seed must be"),
        ({"stop": ("",)}, "stop string must not be empty"),
        ({"min_p": 1.5}, r"min_p must be in \[0, 1\], got 1.5"),
        ({"repetition_penalty": 0}, "repetition_penalty must be greater than 0"),
        ({"logit_bias": {3: float("inf")}}, "logit_bias must be a finite number"),
        ({"logit_bias": {"5": 1.0}}, "a token id of logit_bias must be a whole number, got '5'"),
        ({"logit_bias": {5: "x"}}, "a logit_bias must be a number, got 'x'"),
        ({"logit_bias": [5]}, r"logit_bias must map token ids to numbers, got \[5\]"),
        ({"max_new_tokens": 2.5}, "max_new_tokens must be a whole number, got 2.5"),
        ({"top_k": 1.5}, "top_k must be a whole number, got 1.5"),
        ({"seed": 1.5}, "seed must be a whole number, got 1.5"),
        ({"temperature": "0.2"}, "temperature must be a number, got '0.2'"),
        ({"temperature": 10**400}, "temperature must be a number that fits into a float"),
        ({"time_limit": "1"}, "time_limit must be a number, got '1'"),
        ({"stop": "end"}, "stop must be a sequence of strings, got str"),
        ({"stop": 5}, "stop must be a sequence of strings, got 5"),
        ({"stop": ("a", b"b")}, r"stop\[1\] must be a string, got bytes"),
        ({"seed": True}, "seed must be a whole number, got True"),
        ({"seed": 2**63}, r"seed must be in \[0, 2\^63\), got 9223372036854775808"),
        ({"num_beams": 0}, r"num_beams must be in \[1, 1024\]"),
        ({"num_beams": 10**9}, r"num_beams must be in \[1, 1024\].* got 1000000000"),
        ({"speculate": "no"}, "speculate must be True or False, got 'no'"),
        ({"early_stopping": None}, "early_stopping must be True or False, got None"),
        ({"time_limit": 0}, "time_limit must be greater than 0 seconds, got 0"),
    ],
)
def test_settings_of_the_wrong_kind_or_out_of_range_are_refused(
    settings: dict[str, object], message: str
) -> None:
    with pytest.raises(IncoderError, match=message):
        SamplingParams(**settings)  # type: ignore[arg-type]


def test_numbers_may_be_numpys_and_become_pythons() -> None:
    largest = np.int64(2**63 - 1)  # a product of it would overflow as NumPy's
    settings: dict[str, Any] = {"temperature": np.float32(0.5), "top_k": np.int64(3), "seed": largest}
    params = SamplingParams(**settings, logit_bias=dict(zip(np.arange(2), np.ones(2), strict=True)))
    assert (params.temperature, params.top_k, params.seed) == (0.5, 3, 2**63 - 1)
    assert params.logit_bias == {0: 1.0, 1: 1.0}
    values = (params.temperature, params.top_k, params.seed, *params.logit_bias, *params.logit_bias.values())
    assert [type(value) for value in values] == [float, int, int, int, int, float, float]
