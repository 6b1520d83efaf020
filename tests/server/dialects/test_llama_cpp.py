"""llama.cpp's bodies and answers, without a model."""

import json
import math
from typing import Any

import pytest

from incoder.results import TextPiece
from incoder.server.call import Call
from incoder.server.dialects.llama_cpp.bodies import needs_tokenizer, read_completion, read_infill
from incoder.server.dialects.llama_cpp.indentation import IndentGuard, cut_dedented
from incoder.server.exchange import compact
from incoder.server.fields import FieldError, Fields
from incoder.server.request_error import RequestError

HOLE: dict[str, Any] = {"input_prefix": "def f(x):\n", "input_suffix": "\n"}

# What llama.vim sends while its user types (API.md 1.3), and when it is idle.
LLAMA_VIM: dict[str, Any] = {
    "id_slot": 0,
    "input_prefix": "import os\n\n\ndef size(path):\n",
    "input_suffix": "\n\nprint(size('a'))\n",
    "input_extra": [
        {"text": "def exists(path):\n    ...\n", "time": [1700000000, 123456], "filename": "b.py"},
        {"text": "x = 1\n", "time": [1700000001, 0], "filename": "b.py"},
    ],
    "prompt": "    return os.",
    "n_predict": 128,
    "stop": [],
    "n_indent": 4,
    "top_k": 40,
    "top_p": 0.90,
    "stream": False,
    "samplers": ["top_k", "top_p", "infill"],
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 250,
    "response_fields": [
        "content",
        "timings/prompt_n",
        "timings/prompt_ms",
        "timings/prompt_per_token_ms",
        "timings/prompt_per_second",
        "timings/predicted_n",
        "timings/predicted_ms",
        "timings/predicted_per_token_ms",
        "timings/predicted_per_second",
        "truncated",
        "tokens_cached",
    ],
    "model": "",
}
LLAMA_VIM_WARM_UP: dict[str, Any] = {
    "id_slot": 0,
    "input_prefix": "",
    "input_suffix": "",
    "input_extra": LLAMA_VIM["input_extra"],
    "prompt": "",
    "n_predict": 0,
    "temperature": 0.0,
    "stream": False,
    "samplers": [],
    "cache_prompt": True,
    "t_max_prompt_ms": 1,
    "t_max_predict_ms": 1,
    "response_fields": [""],
    "model": "",
}
LLAMA_VSCODE: dict[str, Any] = {
    "id_slot": 0,
    "input_prefix": "def f(x):\n",
    "input_suffix": "\n",
    "input_extra": [{"text": "x = 1\n", "time": 1700000000123, "filename": "b.py"}],
    "prompt": "    ret",
    "n_predict": 128,
    "n_cmpl": 3,
    "top_k": 40,
    "top_p": 0.99,
    "stream": False,
    "samplers": ["top_k", "top_p", "infill"],
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 2500,
    "lora": [{"id": 0, "scale": 0.5}],
}


def test_what_llama_vim_sends_becomes_an_infill_with_its_line_as_a_start() -> None:
    call = read_infill(Fields(LLAMA_VIM))
    (request,) = call.requests
    assert request.parts == ("import os\n\n\ndef size(path):\n    return os.", "\n\nprint(size('a'))\n")
    assert dict(request.prompt.other_files) == {
        "b.py": "def exists(path):\n    ...\n",
        "b (2).py": "x = 1\n",
    }
    assert request.prompt.path is not None
    assert request.prompt.path.suffix == ".py"
    assert (request.sampling.max_new_tokens, request.sampling.top_k, request.sampling.top_p) == (128, 40, 0.9)
    assert request.sampling.decode_time_limit == 0.25
    assert (call.slot, call.is_warm_up, call.model, call.any_model) == ("0", False, "", True)


def test_the_line_before_the_cursor_stays_out_of_the_cached_prefix() -> None:
    two_lines = {**HOLE, "prompt": "    a = 1\n    b"}
    assert read_infill(Fields(two_lines)).requests[0].prompt.num_tail_lines == 2
    assert read_infill(Fields(two_lines), num_tail_lines=16).requests[0].prompt.num_tail_lines == 16
    assert read_infill(Fields(HOLE), num_tail_lines=16).requests[0].prompt.num_tail_lines is None


def test_a_warm_up_reads_the_same_prompt_and_writes_nothing(made: Any) -> None:
    call = read_infill(Fields(LLAMA_VIM_WARM_UP))
    later = read_infill(Fields({**LLAMA_VIM, "n_predict": 128}))
    (request,) = call.requests
    assert call.is_warm_up
    assert request.deadline == 0
    assert request.sampling.decode_time_limit is None  # its one millisecond must not end the prefill
    assert request.prompt.other_files == later.requests[0].prompt.other_files
    assert request.sampling.max_new_tokens == later.requests[0].sampling.max_new_tokens
    written = made.result(made.candidate("x", "time", made.tokens_of("x")))
    assert call.write(made.answer(written)) == {}


def test_a_warm_up_without_response_fields_has_all_but_text(made: Any) -> None:
    body = {name: one for name, one in LLAMA_VIM_WARM_UP.items() if name != "response_fields"}
    written = read_infill(Fields(body)).write(
        made.answer(made.result(made.candidate("x", "time", made.tokens_of("x"))))
    )
    assert (written["content"], written["tokens_predicted"], written["stop_type"]) == ("", 0, "limit")


def test_llama_vim_finds_its_raw_text_and_flat_timings(made: Any) -> None:
    written = read_infill(Fields(LLAMA_VIM)).write(
        made.answer(made.result(made.candidate("path", "end", made.tokens_of("pa", "th", end=True))))
    )
    raw = compact(written)
    assert raw.startswith(b'{"content":"path"')
    assert list(written) == LLAMA_VIM["response_fields"]
    assert (written["timings/prompt_n"], written["timings/predicted_n"]) == (3, 3)
    assert written["timings/prompt_ms"] == pytest.approx(200)
    assert written["timings/predicted_per_second"] == pytest.approx(6)
    assert (written["truncated"], written["tokens_cached"]) == (False, 10)


def test_three_candidates_are_a_list_in_which_equal_ones_occur_once(made: Any) -> None:
    call = read_infill(Fields(LLAMA_VSCODE))
    assert call.requests[0].num_candidates == 3
    written = call.write(
        made.answer(made.result(made.candidate("urn x"), made.candidate("urn y"), made.candidate("urn x")))
    )
    assert [(one["index"], one["content"]) for one in written] == [(0, "urn x"), (1, "urn y")]
    assert written[0]["generation_settings"]["n_ctx"] == 2048
    for number in (None, 1):
        single = read_infill(Fields({**LLAMA_VSCODE, "n_cmpl": number}))
        assert isinstance(single.write(made.answer(made.result(made.candidate("x")))), dict)


def test_more_candidates_than_there_may_be_are_as_many_as_there_may_be() -> None:
    assert read_infill(Fields({**HOLE, "n_cmpl": 1000})).requests[0].num_candidates == 16
    for number in (0, -1, 1.5, "3", True):
        with pytest.raises(FieldError, match=r"n_cmpl must be a whole number in \[1, "):
            read_infill(Fields({**HOLE, "n_cmpl": number}))


@pytest.mark.parametrize("missing", ["input_prefix", "input_suffix"])
def test_both_sides_of_the_hole_are_required(missing: str) -> None:
    with pytest.raises(FieldError, match=f"{missing} is required"):
        read_infill(Fields({name: one for name, one in HOLE.items() if name != missing}))


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"filename": "ok"},
        {"filename": 123},
        {"filename": 123, "text": "abc"},
        {"filename": 123, "text": 456},
        "text",
        None,
    ],
)
def test_an_extra_without_a_text_or_with_another_kind_of_name_is_refused(extra: Any) -> None:
    with pytest.raises(FieldError, match=r"^input_extra\[0\]"):
        read_infill(Fields({**HOLE, "input_extra": [extra]}))


def test_extras_without_names_are_kept_apart() -> None:
    extras = [{"text": "one"}, {"text": "two"}, {"text": "  \n"}, {"text": "three", "filename": "a\nb/..\0"}]
    files = read_infill(Fields({**HOLE, "input_extra": extras})).requests[0].prompt.other_files
    assert list(files.values()) == ["one", "two", "three"]
    assert list(files)[:2] == ["tmp", "tmp (2)"]


@pytest.mark.parametrize(
    ("value", "limit"), [(None, 1024), (-1, 1024), (-2, 1024), (5, 5), (0, 128), (8.0, 8)]
)
@pytest.mark.parametrize("name", ["n_predict", "max_tokens", "max_completion_tokens"])
def test_the_number_of_tokens_has_several_names(name: str, value: Any, limit: int) -> None:
    assert read_infill(Fields({**HOLE, name: value})).requests[0].sampling.max_new_tokens == limit


@pytest.mark.parametrize("seed", [None, -1, 2**32 - 1])
def test_these_seeds_mean_that_the_server_draws_one(made: Any, seed: int | None) -> None:
    call = read_infill(Fields({**HOLE, "seed": seed}))
    assert not call.has_seed
    written = call.write(made.answer(made.result(made.candidate("x"))))
    assert written["generation_settings"]["seed"] == 2**32 - 1


def test_a_seed_is_used_and_returned(made: Any) -> None:
    call = read_infill(Fields({**HOLE, "seed": 7}))
    assert (call.has_seed, call.requests[0].sampling.seed) == (True, 7)
    assert call.write(made.answer(made.result(made.candidate("x"))))["generation_settings"]["seed"] == 7


@pytest.mark.parametrize("name", ["grammar", "json_schema", "ignore_eos"])
def test_what_would_make_the_answer_wrong_is_refused(name: str) -> None:
    asked: list[Any] = ["root ::= x", {"type": "object"}, True]
    for value in asked:
        with pytest.raises(FieldError, match=f"^{name} is not supported"):
            read_infill(Fields({**HOLE, name: value}))
    unasked: list[Any] = ["", None, False, {}]
    for value in unasked:
        assert read_infill(Fields({**HOLE, name: value})).requests


NUMBERS = (
    "n_predict n_cmpl n_indent n_probs id_slot temperature top_k top_p min_p repeat_penalty "
    "presence_penalty frequency_penalty t_max_predict_ms"
)


@pytest.mark.parametrize("name", NUMBERS.split())
@pytest.mark.parametrize("value", [-1e18, 1e19, "1", True, [], {}])
def test_numbers_are_bounded_on_both_sides(name: str, value: Any) -> None:
    with pytest.raises(FieldError, match=f"^{name} must be a"):
        read_infill(Fields({**HOLE, name: value}))


@pytest.mark.parametrize("name", ["n_discard", "n_keep", "t_max_prompt_ms", "mirostat_tau", "dry_base"])
def test_numbers_that_nothing_reads_may_be_anything_bounded(name: str) -> None:
    assert read_infill(Fields({**HOLE, name: -(2**60)})).requests
    with pytest.raises(FieldError):
        Fields.parse(json.dumps({**HOLE, name: 2**65}).encode())


def test_what_was_written_in_time_ends_with_its_last_whole_line(made: Any) -> None:
    call = read_infill(Fields({**HOLE, "t_max_predict_ms": 100}))
    for text, shown in (("x = 1\n    y", "x = 1\n"), ("x = ", "x = "), ("\n    x", "\n    x")):
        written = call.write(made.answer(made.result(made.candidate(text, "time", made.tokens_of(text)))))
        assert (written["content"], written["stop_type"]) == (shown, "limit")
    unlimited = read_infill(Fields(HOLE)).write(made.answer(made.result(made.candidate("x\n  y", "time"))))
    assert unlimited["content"] == "x\n  y"  # the server's own limit: a client that set none gets all


@pytest.mark.parametrize(
    ("reason", "text", "pieces", "stop_type", "word"),
    [
        ("end", "x = 1", ("x = ", "1"), "eos", ""),
        ("length", "x = 1", ("x = ", "1"), "limit", ""),
        ("stop", "x = 1", ("x = ", "1", "\n\n", "y"), "word", "\n\n"),
        ("stop", "x = 1", ("x = ", "1", ")"), "eos", ""),
    ],
)
def test_the_end_of_a_text_has_a_kind(
    made: Any, reason: Any, text: str, pieces: tuple[str, ...], stop_type: str, word: str
) -> None:
    body = Fields({**HOLE, "n_predict": 2, "stop": ["\n", "\n\n"]})
    written = read_infill(body).write(
        made.answer(made.result(made.candidate(text, reason, made.tokens_of(*pieces))))
    )
    assert (written["stop_type"], written["stopping_word"]) == (stop_type, word)


def test_an_infill_that_fills_the_context_is_truncated(made: Any) -> None:
    call = read_infill(Fields({**HOLE, "n_predict": 50}))
    full = call.write(made.answer(made.result(made.candidate("x", "length", made.tokens_of("x")))))
    limited = call.write(made.answer(made.result(made.candidate("x", "length", made.tokens_of(*"x" * 50)))))
    assert (full["truncated"], limited["truncated"]) == (True, False)


def test_tokens_are_returned_on_request_without_those_of_the_prompt(made: Any) -> None:
    healed = made.result(
        made.candidate("os", "end", made.tokens_of("ret", "urn o", "s", end=True)), required_prefix="return "
    )
    with_tokens = read_infill(Fields({**HOLE, "return_tokens": True})).write(made.answer(healed))
    assert with_tokens["tokens"] == [11, 12]
    assert with_tokens["tokens_predicted"] == 3  # the end token, too
    assert read_infill(Fields(HOLE)).write(made.answer(healed))["tokens"] == []


@pytest.mark.parametrize("after_sampling", [False, True])
def test_probabilities_are_of_every_new_token(made: Any, after_sampling: bool) -> None:
    body = Fields({**HOLE, "n_probs": 2, "post_sampling_probs": after_sampling})
    call = read_infill(body)
    assert call.requests[0].num_alternatives == 2
    written = call.write(made.answer(made.result(made.candidate("é(", "length", made.tokens_of("é", "(")))))
    first, second = written["completion_probabilities"]
    assert (first["id"], first["token"], first["bytes"]) == (10, "é", [0xC3, 0xA9])
    if after_sampling:
        assert second["prob"] == pytest.approx(math.exp(-0.5))
        assert [one["prob"] for one in second["top_probs"]] == pytest.approx([math.exp(-0.5), math.exp(-2)])
    else:
        assert [one["logprob"] for one in (second, *second["top_logprobs"])] == [-0.5, -0.5, -2.0]


def test_without_probabilities_there_is_no_such_field(made: Any) -> None:
    assert "completion_probabilities" not in read_infill(Fields(HOLE)).write(
        made.answer(made.result(made.candidate("x")))
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x\n    y\nz\n", "x\n    y\n"),
        ("x\n\n    y", "x\n\n    y"),
        ("x\n\ty\n", "x\n"),  # a tab is one character
        ("x\r\n\r\n    y\r\n  z", "x\r\n\r\n    y\r\n"),
        ("x", "x"),
        ("", ""),
        ("\n  ", "\n  "),
        ("    x\n}", "    x\n"),
    ],
)
def test_an_infill_ends_before_a_line_that_is_indented_less(made: Any, text: str, shown: str) -> None:
    assert cut_dedented(text, 4) == shown
    for size in (1, 2, 3):
        guard = IndentGuard(4)
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert "".join(map(guard.add, pieces)) + guard.end() == shown
    body = Fields({**HOLE, "n_indent": 4})
    written = read_infill(body).write(made.answer(made.result(made.candidate(text))))
    assert written["content"] == shown
    assert written["stop_type"] == ("eos" if shown == text else "limit")


def streamed(made: Any, call: Call, pieces: list[tuple[int, str]], *candidates: Any) -> list[Any]:
    assert call.stream is not None
    call.stream.start(made.answer())
    events: list[Any] = []
    for number, text in pieces:
        events += call.stream.piece(0, TextPiece(call.requests[0], number, 0, text))
    return [*events, *call.stream.end(made.answer(made.result(*candidates)))]


def test_a_stream_ends_with_an_event_that_has_everything(made: Any) -> None:
    call = read_infill(Fields({**HOLE, "stream": True, "n_indent": 2}))
    events = streamed(made, call, [(0, "a\n"), (0, "  b\n"), (0, " c")], made.candidate("a\n  b\n c", "end"))
    assert [(one["content"], one["stop"]) for one in events] == [("a\n", False), ("  b\n", False), ("", True)]
    assert events[-1]["stop_type"] == "limit"
    whole = read_infill(Fields(HOLE)).write(made.answer(made.result(made.candidate("x"))))
    assert set(events[-1]) == set(whole)


def test_a_stream_of_candidates_numbers_them(made: Any) -> None:
    call = read_infill(Fields({**HOLE, "stream": True, "n_cmpl": 2}))
    events = streamed(made, call, [(1, "b"), (0, "a")], made.candidate("a"), made.candidate("b"))
    assert [(one["index"], one["content"], one["stop"]) for one in events] == [
        (1, "b", False),
        (0, "a", False),
        (0, "", True),
        (1, "", True),
    ]


def test_a_stream_with_probabilities_has_an_event_for_each_token(made: Any) -> None:
    call = read_infill(Fields({**HOLE, "stream": True, "n_probs": 1}))
    tokens = made.tokens_of("ret", "urn o", "s", "\n\n", end=True)
    written = made.result(made.candidate("os", "stop", tokens), required_prefix="return ")
    assert call.stream is not None
    assert list(call.stream.piece(0, TextPiece(call.requests[0], 0, 0, "os"))) == []
    *events, last = call.stream.end(made.answer(written))
    assert [(one["content"], one["tokens"]) for one in events] == [("o", [11]), ("s", [12])]
    assert [len(one["completion_probabilities"]) for one in events] == [1, 1]
    assert [one["id"] for one in last["completion_probabilities"]] == [11, 12, 13, 2]


def test_an_error_in_a_stream_has_llama_cpps_shape() -> None:
    stream = read_infill(Fields({**HOLE, "stream": True})).stream
    assert stream is not None
    assert stream.error(RequestError(504, "late", "timeout")) == {
        "error": {"code": 504, "message": "late", "type": "timeout"}
    }


def test_a_completion_has_a_text_or_token_ids_or_both() -> None:
    encode = {"xy": [7, 8]}.__getitem__
    (text,) = read_completion(Fields({"prompt": "x = "})).requests
    (ids,) = read_completion(Fields({"prompt": [5, 6]})).requests
    (mixed,) = read_completion(Fields({"prompt": [5, "xy", 6]}), encode).requests
    assert (text.parts, text.prompt_ids) == (("x = ",), None)
    assert (ids.parts, ids.prompt_ids) == ((), (5, 6))
    assert mixed.prompt_ids == (5, 7, 8, 6)
    assert [needs_tokenizer(Fields({"prompt": one})) for one in ("x", [5], [5, "x"])] == [False, False, True]


def test_several_prompts_are_a_list_of_answers(made: Any) -> None:
    call = read_completion(Fields({"prompt": ["x", [5, 6]]}))
    assert len(call.requests) == 2
    assert not any(request.prompt.token_healing for request in call.requests)
    written = call.write(made.answer(made.result(made.candidate("a")), made.result(made.candidate("b"))))
    assert [(one["index"], one["content"]) for one in written] == [(0, "a"), (1, "b")]


@pytest.mark.parametrize("body", [{}, {"prompt": None}, {"prompt": []}, {"prompt": 5}, {"prompt": {}}])
def test_a_completion_needs_a_prompt(body: dict[str, Any]) -> None:
    with pytest.raises(FieldError, match=r"^prompt"):
        read_completion(Fields(body))


def test_response_fields_are_flat_and_unknown_ones_are_left_out(made: Any) -> None:
    body = {
        "prompt": "x",
        "n_predict": 32,
        "response_fields": ["content", "generation_settings/n_predict", "prompt"],
    }
    written = read_completion(Fields(body)).write(made.answer(made.result(made.candidate("y"))))
    assert written == {"content": "y", "generation_settings/n_predict": 32, "prompt": "PROMPT"}
    for names, left in (([], None), ([""], {}), (["nothing", "content/x"], {})):
        found = read_completion(Fields({**body, "response_fields": names})).write(
            made.answer(made.result(made.candidate("y")))
        )
        assert found == left or (left is None and "timings" in found)
