"""Ollama's bodies and answers, without a model."""

from typing import Any

import pytest

from incoder.results import TextPiece
from incoder.server.dialects.ollama import read, requested_action, served_name
from incoder.server.fields import FieldError, Fields
from incoder.server.request_error import RequestError

BODY: dict[str, Any] = {"model": "mini", "prompt": "def f(x):\n    return ", "suffix": "\n"}


@pytest.mark.parametrize(
    ("body", "action"),
    [  # T13, and what cmp-ai sends when Vim ends (T11)
        ({}, "load"),
        ({"prompt": "", "suffix": "", "keep_alive": "5m"}, "load"),
        ({"keep_alive": -1}, "load"),
        ({"keep_alive": 0}, "unload"),
        ({"keep_alive": "0"}, "unload"),
        ({"keep_alive": "0s", "prompt": None}, "unload"),
        ({"prompt": "\n", "options": {"num_predict": 1}}, None),  # how CellSense warms up
        ({"prompt": "", "suffix": "x = 1\n"}, None),
        ({"prompt": "x", "keep_alive": 0}, None),
    ],
)
def test_a_body_without_a_text_loads_or_unloads(body: dict[str, Any], action: str | None) -> None:
    assert requested_action(Fields({"model": "mini", **body})) == action


def test_a_hole_at_the_start_of_a_file_is_filled() -> None:  # T13: Ollama itself answers nothing
    assert read(Fields({**BODY, "prompt": ""})).requests[0].parts == ("", "\n")


def test_a_prompt_without_a_suffix_is_continued() -> None:
    for suffix in ("", None):
        assert read(Fields({**BODY, "suffix": suffix})).requests[0].parts == (BODY["prompt"],)


def test_options_are_read_and_everything_else_is_ignored() -> None:
    options = {
        "num_predict": 64,
        "temperature": 0.3,
        "top_k": 20,
        "top_p": 0.8,
        "seed": 4,
        "stop": ["\n\n"],
        "repeat_penalty": 1.1,
        "num_ctx": 4096,
        "mirostat": 0,
    }
    call = read(
        Fields({**BODY, "raw": True, "template": "x", "system": "y", "context": [1], "options": options})
    )
    sampling = call.requests[0].sampling
    assert (sampling.max_new_tokens, sampling.temperature, sampling.top_k) == (64, 0.3, 20)
    assert (sampling.top_p, sampling.seed, sampling.stop) == (0.8, 4, ("\n\n",))
    assert sampling.repetition_penalty == 1.1
    assert (call.has_seed, call.model, call.any_model) == (True, "mini", False)


@pytest.mark.parametrize(("value", "limit"), [(None, 128), (-1, 1024), (-2, 1024), (1, 1), (0, 1)])
def test_the_number_of_tokens_may_be_left_to_the_server(value: int | None, limit: int) -> None:
    options = {"num_predict": value}
    assert read(Fields({**BODY, "options": options})).requests[0].sampling.max_new_tokens == limit


@pytest.mark.parametrize("seed", [None, -1])
def test_without_a_seed_one_is_drawn(seed: int | None) -> None:
    assert not read(Fields({**BODY, "options": {"seed": seed}})).has_seed


def test_cellsenses_stop_strings_beside_the_options_count() -> None:
    body = {**BODY, "stop": ["<file_sep>"], "options": {"stop": ["\n", "<file_sep>"]}}
    assert read(Fields(body)).requests[0].sampling.stop == ("\n", "<file_sep>")
    assert read(Fields({**BODY, "stop": None})).requests[0].sampling.stop == ()


@pytest.mark.parametrize(
    "name", ["num_predict", "temperature", "top_k", "top_p", "min_p", "seed", "repeat_penalty"]
)
@pytest.mark.parametrize("value", [-1e19, 1.5e19, "1", True])
def test_numbers_among_the_options_are_bounded_on_both_sides(name: str, value: Any) -> None:
    with pytest.raises(FieldError, match=rf"^options\.{name} must be a"):
        read(Fields({**BODY, "options": {name: value}}))


@pytest.mark.parametrize("keep_alive", ["5m", "1h30m", "-1", "300ms", 0, -1, 300.5, None])
def test_durations_are_numbers_or_texts(keep_alive: Any) -> None:
    assert read(Fields({**BODY, "keep_alive": keep_alive})).requests


@pytest.mark.parametrize("keep_alive", ["soon", "", "5 minutes, please", True, [], "m"])
def test_other_durations_are_refused(keep_alive: Any) -> None:
    with pytest.raises(FieldError, match=r"^keep_alive must be"):
        read(Fields({**BODY, "keep_alive": keep_alive}))


@pytest.mark.parametrize("name", ["format", "images"])
def test_what_cannot_be_done_is_refused(name: str) -> None:
    with pytest.raises(FieldError, match=f"^{name} is not supported"):
        read(Fields({**BODY, name: ["json"]}))
    assert read(Fields({**BODY, name: None})).requests


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"model": "mini:latest"}, "mini"),
        ({"name": "mini"}, "mini"),
        ({"model": "qwen2.5-coder:incoder"}, ""),
        ({"model": "qwen2.5-coder:mini"}, "mini"),
        ({}, ""),
    ],
)
def test_a_model_has_a_tag_or_a_family(fields: dict[str, str], name: str) -> None:
    assert served_name(Fields(fields)) == name


def test_the_answer_has_ollamas_counts_and_times(made: Any) -> None:
    written = read(Fields({**BODY, "stream": False})).write(
        made.answer(made.result(made.candidate("x", "end", made.tokens_of("x", end=True))))
    )
    assert (written["response"], written["done"], written["done_reason"]) == ("x", True, "stop")
    assert (written["model"], written["prompt_eval_count"], written["eval_count"]) == ("mini", 7, 2)
    assert written["total_duration"] == 800_000_000
    assert written["prompt_eval_duration"] == pytest.approx(200_000_000)
    assert written["eval_duration"] == pytest.approx(500_000_000)
    assert written["created_at"].endswith("Z")


def test_log_probabilities_are_those_of_the_text(made: Any) -> None:
    body = {**BODY, "stream": False, "logprobs": True, "top_logprobs": 2}
    written = read(Fields(body)).write(
        made.answer(made.result(made.candidate("é", "end", made.tokens_of("é", end=True))))
    )
    (one,) = written["logprobs"]
    assert (one["token"], one["logprob"], one["bytes"]) == ("é", -0.5, [0xC3, 0xA9])
    assert [other["token"] for other in one["top_logprobs"]] == ["é", "z"]


def test_a_stream_is_the_default_and_ends_with_the_counts(made: Any) -> None:
    call = read(Fields(BODY))
    assert call.stream is not None
    assert call.framing == "ndjson"
    call.stream.start(made.answer())
    lines = [*call.stream.piece(0, TextPiece(call.requests[0], 0, 0, "x"))]
    lines += call.stream.end(made.answer(made.result(made.candidate("x", "length", made.tokens_of("x")))))
    assert [(one["response"], one["done"]) for one in lines] == [("x", False), ("", True)]
    assert lines[1]["done_reason"] == "length"
    assert call.stream.error(RequestError(504, "late")) == {"error": "late"}
