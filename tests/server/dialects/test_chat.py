"""Infills by chat and by Mistral's route, without a model."""

from typing import Any

import pytest

from incoder.results import TextPiece
from incoder.server.dialects.chat import fenced, read
from incoder.server.dialects.mistral import mistral_error
from incoder.server.dialects.mistral import read as read_mistral
from incoder.server.fields import FieldError, Fields
from incoder.server.request_error import RequestError

MARKED = "<|fim_prefix|>x = <|fim_suffix|>\ny\n<|fim_middle|>"
TAGGED = (
    "Generate a single suggestion that fits best in place of cursor. Current language is python and the "
    "active file is work/a.ipynb.\n\n<CODE><PREFIX>x = </PREFIX><CURSOR/><SUFFIX>\ny\n</SUFFIX></CODE>\n"
)


def chat(content: Any, **fields: Any) -> Fields:
    messages = [{"role": "system", "content": "You complete code."}, {"role": "user", "content": content}]
    return Fields({"messages": messages, "model": "any", **fields})


def test_marimos_markers_count_with_and_without_the_joiner() -> None:  # T1
    for content in (MARKED, MARKED.replace("<|", "<\u200d|")):
        call = read(chat(content, max_completion_tokens=1024, stream=False))
        assert call.requests[0].parts == ("x = ", "\ny\n")
        assert call.requests[0].sampling.max_new_tokens == 1024
        assert (call.any_model, call.stream) == (True, None)


def test_the_markers_of_every_family_count() -> None:
    for content in ("<fim_prefix>x = <fim_suffix>\ny\n<fim_middle>", "<PRE> x =  <SUF>\ny\n <MID>"):
        assert read(chat(content)).requests[0].parts == ("x = ", "\ny\n")


def test_notebook_intelligences_tags_mark_a_hole_in_a_named_file() -> None:
    (request,) = read(chat(TAGGED, max_tokens=1000)).requests
    assert request.parts == ("x = ", "\ny\n")
    assert str(request.prompt.path) == "work/a.ipynb"


def test_a_message_in_parts_is_one_text() -> None:
    parts = [{"type": "text", "text": MARKED[:20]}, {"type": "text", "text": MARKED[20:]}]
    assert read(chat(parts)).requests[0].parts == ("x = ", "\ny\n")


@pytest.mark.parametrize(
    "content",
    ["What is 2 + 2?", "", None, MARKED + "x", TAGGED.replace("<CURSOR/>", ""), [], [{"type": "image_url"}]],
)
def test_anything_else_is_refused_with_a_remedy(content: Any) -> None:
    with pytest.raises(FieldError, match=r"^messages must end with a message of the user that marks a hole"):
        read(chat(content))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": []},
        {"messages": "x"},
        {"messages": [3]},
        {"messages": [{"role": "assistant", "content": MARKED}]},
        {"messages": [{"role": 5, "content": MARKED}]},
        {"messages": [{"role": "user", "content": 5}]},
    ],
)
def test_a_chat_without_a_message_of_the_user_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(FieldError, match=r"^messages"):
        read(Fields(body))


def test_tools_and_several_choices_are_refused() -> None:
    with pytest.raises(FieldError, match=r"^tools must be left out"):
        read(chat(MARKED, tools=[{"type": "function"}]))
    with pytest.raises(FieldError, match=r"^n must be 1"):
        read(chat(MARKED, n=2))


def test_the_answer_is_a_message_with_the_infill(made: Any) -> None:
    written = read(chat(MARKED)).write(
        made.answer(made.result(made.candidate("1", "end", made.tokens_of("1"))))
    )
    assert written["object"] == "chat.completion"
    (choice,) = written["choices"]
    assert choice["message"] == {"role": "assistant", "content": "1", "tool_calls": None}
    assert choice["finish_reason"] == "stop"
    assert written["usage"]["total_tokens"] == 8


def test_notebook_intelligence_gets_code_with_backticks_in_a_fence(made: Any) -> None:
    for infill, content in (("1", "1"), ("`ls`", "```\n`ls````")):
        written = read(chat(TAGGED)).write(made.answer(made.result(made.candidate(infill))))
        assert written["choices"][0]["message"]["content"] == content == fenced(infill)
    marked = read(chat(MARKED)).write(made.answer(made.result(made.candidate("`ls`"))))
    assert marked["choices"][0]["message"]["content"] == "`ls`"


@pytest.mark.parametrize("has_usage", [False, True])
def test_a_stream_is_deltas_then_a_reason(made: Any, has_usage: bool) -> None:
    call = read(chat(MARKED, stream=True, stream_options={"include_usage": has_usage}))
    assert call.stream is not None
    assert call.framing == "sse-done"
    call.stream.start(made.answer())
    pieces = [TextPiece(call.requests[0], 0, 0, text) for text in ("1 ", "+ 2")]
    chunks = [chunk for piece in pieces for chunk in call.stream.piece(0, piece)]
    chunks += call.stream.end(made.answer(made.result(made.candidate("1 + 2", "length"))))
    choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    assert [one["delta"] for one in choices] == [
        {"role": "assistant", "content": "1 "},
        {"content": "+ 2"},
        {"content": ""},
    ]
    assert [one["finish_reason"] for one in choices] == [None, None, "length"]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[-1]["usage"]["prompt_tokens"] == 7
    assert (chunks[-1]["choices"] == []) is has_usage


def test_an_empty_stream_still_has_a_choice(made: Any) -> None:
    stream = read(chat(MARKED, stream=True)).stream
    assert stream is not None
    stream.start(made.answer())
    (chunk,) = stream.end(made.answer(made.result(made.candidate("", "end"))))
    assert chunk["choices"][0]["delta"] == {"role": "assistant", "content": ""}


# What Continue sends with its provider `mistral`.
FIM: dict[str, Any] = {
    "model": "codestral-latest",
    "prompt": "def f(x):\n    return ",
    "suffix": "\n",
    "max_tokens": 256,
    "temperature": 0.01,
    "top_p": None,
    "stop": ["/src/", "```"],
    "stream": True,
    "random_seed": None,
}


def test_mistrals_body_is_a_hole_between_prompt_and_suffix() -> None:
    call = read_mistral(Fields(FIM))
    assert call.requests[0].parts == ("def f(x):\n    return ", "\n")
    assert call.requests[0].sampling.stop == ("/src/", "```")
    assert (call.any_model, call.has_seed, call.framing) == (True, False, "sse-done")
    assert call.stream is not None


@pytest.mark.parametrize("suffix", ["", None])
def test_mistrals_prompt_alone_is_continued(suffix: str | None) -> None:
    assert read_mistral(Fields({**FIM, "suffix": suffix})).requests[0].parts == (FIM["prompt"],)


def test_mistrals_seed_is_called_random_seed() -> None:
    call = read_mistral(Fields({**FIM, "random_seed": 5}))
    assert (call.has_seed, call.requests[0].sampling.seed) == (True, 5)


def test_mistrals_errors_have_its_shape() -> None:
    with pytest.raises(FieldError, match=r"^prompt is required"):
        read_mistral(Fields({"suffix": "x"}))
    assert mistral_error(RequestError(400, "prompt is required")) == {
        "object": "error",
        "message": "prompt is required",
        "type": "invalid_request_error",
        "param": None,
        "code": "400",
    }
