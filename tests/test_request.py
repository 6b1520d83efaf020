"""Settings of generation are in their ranges and of Python's own kinds."""

from dataclasses import fields
from pathlib import PurePath
from typing import Any, cast

import numpy as np
import pytest

from incoder.errors import IncoderError
from incoder.request import InfillRequest, PromptOptions
from incoder.request_settings import RENAMED_SETTINGS, PromptSettings, RequestSettings
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
        ({"logit_bias": [5]}, r"logit_bias must map token ids to numbers, got list"),
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
        ({"time_limit": 0}, "^time_limit must be greater than 0 seconds, got 0"),
        ({"decode_time_limit": 0}, "^decode_time_limit must be greater than 0 seconds, got 0"),
        ({"presence_penalty": 2.5}, r"presence_penalty must be in \[-2, 2\] \(0 for none\), got 2.5"),
        ({"frequency_penalty": float("nan")}, r"frequency_penalty must be in \[-2, 2\] .* got nan"),
        ({"allowed_first_ids": ()}, "allowed_first_ids must name a token, got none; leave it out"),
        ({"allowed_first_ids": (5, -1)}, r"allowed_first_ids\[1\] must be a token id, .* got -1"),
        ({"allowed_first_ids": "ab"}, "allowed_first_ids must be a sequence of token ids, got str"),
    ],
)
def test_settings_of_the_wrong_kind_or_out_of_range_are_refused(
    settings: dict[str, object], message: str
) -> None:
    with pytest.raises(IncoderError, match=message):
        SamplingParams(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_alternatives": 101}, r"num_alternatives must be in \[0, 100\], got 101"),
        ({"num_alternatives": -1}, "num_alternatives must be in"),
        ({"lines": "two"}, "lines must be one of one, block, auto, got 'two'; leave it out"),
        ({"deadline": float("nan")}, "deadline must be an instant of time.monotonic"),
        ({"deadline": "soon"}, "deadline must be a number, got 'soon'"),
        ({"cache_salt": b"x"}, "cache_salt must be a string, got bytes"),
        ({"echo": 1}, "echo must be True or False, got 1"),
        ({"prompt_ids": ()}, "prompt_ids must have a token, got none"),
        ({"prompt_ids": (1.5,)}, r"prompt_ids\[0\] must be a whole number, got 1.5"),
        ({"prompt_ids": (1,), "parts": ("x",)}, "a request has either parts or prompt_ids, got both"),
        ({"prompt": {}}, "prompt must be PromptOptions, got dict"),
    ],
)
def test_fields_of_a_request_are_in_their_ranges(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(IncoderError, match=message):
        InfillRequest(**settings)


def test_keywords_are_the_fields_of_the_dataclasses_and_the_names_of_before() -> None:
    prompt = {one.name for one in fields(PromptOptions)}
    apart = {"parts", "prompt_ids", "sampling", "prompt"}
    request = {one.name for owner in (SamplingParams, InfillRequest) for one in fields(owner)} - apart
    old = set(RENAMED_SETTINGS)
    assert set(PromptSettings.__annotations__) == prompt | (old - {"edge_rules"})
    assert set(RequestSettings.__annotations__) == prompt | request | old
    assert set(RENAMED_SETTINGS.values()) <= prompt | request


def test_keywords_make_the_request_of_the_same_fields() -> None:
    by_keywords = InfillRequest.from_settings(
        "a<FILL>b", temperature=0, stop="x", path="a.py", num_candidates=2, lines="one", logit_bias=None
    )
    assert by_keywords == InfillRequest(
        parts=("a", "b"),
        sampling=SamplingParams(temperature=0, stop=("x",)),
        prompt=PromptOptions(path=PurePath("a.py")),
        num_candidates=2,
        lines="one",
    )


def test_requests_are_made_of_keywords_only() -> None:
    kinds: tuple[Any, ...] = (InfillRequest, SamplingParams, PromptOptions)
    for kind in kinds:
        with pytest.raises(TypeError):
            kind(("x",))


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"there is no setting 'temprature'; did you mean temperature\?"):
        InfillRequest.from_settings("x", temprature=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("num_lead_lines", "num_tail_lines", 3),
        ("edge_rules", "stopping_rules", ("loops",)),
        ("heal_tokens", "token_healing", False),
    ],
)
def test_names_of_before_are_read_with_a_note_that_points_at_the_call(old: str, new: str, value: Any) -> None:
    settings: Any = {old: value}
    with pytest.warns(FutureWarning, match=f"{old} is now called {new}; .* next release") as noted:
        request = InfillRequest.from_settings("x", **settings)
    assert request == InfillRequest.from_settings("x", **cast(Any, {new: value}))
    assert noted[0].filename == __file__


def test_ranking_by_the_whole_is_now_called_by_the_full_text() -> None:
    old: Any = "whole"
    with pytest.warns(FutureWarning, match='rank_by="whole" is now called rank_by="full-text"'):
        assert InfillRequest(rank_by=old).rank_by == "full-text"


def test_a_template_gives_its_settings_to_other_texts() -> None:
    template = InfillRequest.from_settings(stop="a", temperature=0, path="x.py", num_candidates=3)
    request = template.for_parts(["1", "2"], stop=["b"])
    assert (request.parts, request.sampling.stop, request.num_candidates) == (("1", "2"), ("a", "b"), 3)
    assert request.prompt.path == PurePath("x.py")
    assert template.for_parts(["1"], path="y.py").prompt.path == PurePath("y.py")


def test_numbers_may_be_numpys_and_become_pythons() -> None:
    largest = np.int64(2**63 - 1)  # a product of it would overflow as NumPy's
    settings: dict[str, Any] = {"temperature": np.float32(0.5), "top_k": np.int64(3), "seed": largest}
    params = SamplingParams(**settings, logit_bias=dict(zip(np.arange(2), np.ones(2), strict=True)))
    assert (params.temperature, params.top_k, params.seed) == (0.5, 3, 2**63 - 1)
    assert params.logit_bias == {0: 1.0, 1: 1.0}
    values = (params.temperature, params.top_k, params.seed, *params.logit_bias, *params.logit_bias.values())
    assert [type(value) for value in values] == [float, int, int, int, int, float, float]
