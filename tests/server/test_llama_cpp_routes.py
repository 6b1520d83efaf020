"""What clients of llama.cpp's server rely on, through HTTP: shapes, seeds, prompts of all kinds, keys."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from incoder.server.app import create_app
from incoder.server.models.local_model import LocalSource
from incoder.server.settings import ServerSettings

PROMPT = "def mean(xs):\n    return "
KEY = "sk-of-a-test"


@pytest.fixture(scope="module")
def guarded(source: LocalSource) -> Iterator[TestClient]:
    """A client of a server that needs a key."""
    app = create_app(ServerSettings(keys=(KEY,)), [source])
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def complete(client: TestClient, **fields: Any) -> Any:
    answer = client.post("/completion", json={"prompt": PROMPT, "n_predict": 4, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_completion_counts_its_tokens(client: TestClient) -> None:
    prompt = client.post("/tokenize", json={"content": PROMPT}).json()["tokens"]
    answer = complete(client, prompt=prompt, n_predict=3)
    timings = answer["timings"]
    assert timings["prompt_n"] + timings["cache_n"] == answer["tokens_evaluated"] == len(prompt)
    assert timings["predicted_n"] == answer["tokens_predicted"] <= 3
    assert answer["truncated"] is False
    assert isinstance(answer["has_new_line"], bool)
    assert answer["tokens"] == []


def test_tokens_are_there_if_they_are_asked_for(client: TestClient) -> None:
    answer = complete(client, return_tokens=True, n_predict=8)
    assert answer["tokens"]
    assert all(type(token) is int for token in answer["tokens"])


def test_a_stream_has_the_text_of_the_whole_answer(client: TestClient) -> None:
    settings = {"temperature": 0, "seed": 1, "n_predict": 8}
    answer = client.post("/completion", json={"prompt": PROMPT, "stream": True, **settings})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "[DONE]" not in answer.text
    *pieces, last = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
    whole = complete(client, **settings)
    assert "".join(piece["content"] for piece in pieces) == whole["content"]
    assert [piece["stop"] for piece in pieces] == [False] * len(pieces)
    assert (last["stop"], last["content"], last["stop_type"]) == (True, "", whole["stop_type"])
    assert last["generation_settings"] == whole["generation_settings"]


def test_the_seed_decides(client: TestClient) -> None:
    texts = [complete(client, seed=seed, temperature=1.0, n_predict=12)["content"] for seed in (42, 42, 1, 2)]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


def test_a_prompt_may_be_text_or_tokens_or_lists_of_both(client: TestClient) -> None:
    tokens = client.post("/tokenize", json={"content": PROMPT}).json()["tokens"]
    assert isinstance(complete(client, prompt=tokens)["content"], str)
    one, other = complete(client, prompt=[tokens, tokens], temperature=0)
    assert one["content"] == other["content"]
    assert (one["index"], other["index"]) == (0, 1)
    assert len(complete(client, prompt=[tokens, PROMPT])) == 2
    mixed = complete(client, prompt=[5, 6, "x = ", 7, "y"], n_predict=1)
    assert isinstance(mixed["content"], str)
    assert mixed["tokens_evaluated"] > 4


def test_response_fields_are_flat(client: TestClient) -> None:
    names = ["content", "generation_settings/n_predict", "prompt"]
    answer = complete(client, response_fields=names, n_predict=7)
    assert list(answer) == names
    assert answer["generation_settings/n_predict"] == 7
    assert answer["prompt"].startswith("def mean(xs)") or PROMPT[:8] in answer["prompt"]


@pytest.mark.parametrize(("after_sampling", "value"), [(False, "logprob"), (True, "prob")])
def test_each_new_token_has_its_probability(after_sampling: bool, value: str, client: TestClient) -> None:
    answer = complete(
        client,
        n_probs=5,
        temperature=0,
        n_predict=5,
        post_sampling_probs=after_sampling,
        prompt="x = [1, 2, 3, ",
    )
    listed = answer["completion_probabilities"]
    assert len(listed) == answer["timings"]["predicted_n"]
    for token in listed:
        others = token["top_probs" if after_sampling else "top_logprobs"]
        assert len(others) == 5
        for one in (token, *others):
            assert isinstance(one["id"], int)
            assert isinstance(one["token"], str)
            assert isinstance(one["bytes"], list)
            assert 0 < one[value] <= 1 if after_sampling else one[value] <= 0


def test_a_prompt_that_is_longer_than_the_context_is_refused(client: TestClient) -> None:
    answer = client.post("/completion", json={"prompt": [5] * 3000})
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"code", "message", "type"}


def test_infill_works_with_and_without_other_files(client: TestClient) -> None:
    body = {
        "input_prefix": "import os\n\n\ndef size(path):\n",
        "prompt": "    return os.",
        "input_suffix": "\n",
    }
    extra = [{"filename": "b.py", "text": "def exists(path): ...\n"}]
    for more in ({}, {"input_extra": extra}):
        answer = client.post("/infill", json={**body, "n_predict": 8, **more}).json()
        assert answer["content"]
        assert not answer["content"].startswith("    return")  # the start that was given is not repeated


@pytest.mark.parametrize("extra", [{}, {"filename": "ok"}, {"filename": 123}, {"filename": 1, "text": "x"}])
def test_infill_refuses_extras_without_a_text(extra: dict[str, Any], client: TestClient) -> None:
    body = {"input_prefix": "x", "input_suffix": "y", "input_extra": [extra]}
    answer = client.post("/infill", json=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_a_warm_up_helps_the_next_request(client: TestClient) -> None:
    text = "def total(first, second):\n    return first + second\n\n\n" * 8
    body = {"input_prefix": text, "input_suffix": "\n", "t_max_predict_ms": 1, "n_predict": 0}
    assert client.post("/infill", json={**body, "response_fields": [""]}).json() == {}
    after = client.post("/infill", json={**body, "n_predict": 4, "t_max_predict_ms": 5000}).json()
    assert after["timings"]["cache_n"] > 50


def test_slots_and_properties_say_what_there_is(client: TestClient) -> None:
    slots = client.get("/slots").json()
    properties = client.get("/props").json()
    assert len(slots) == properties["total_slots"] == ServerSettings().max_concurrent
    assert {slot["n_ctx"] for slot in slots} == {2048}
    assert not any("params" in slot for slot in slots)
    assert not any(slot["is_processing"] for slot in slots)
    assert client.get("/slots?fail_on_no_slot=1").status_code == 200
    assert isinstance(properties["default_generation_settings"]["params"]["seed"], int)
    assert client.get("/models").json() == client.get("/v1/models").json()


def test_tokens_have_pieces_and_texts(client: TestClient) -> None:
    content = "größe = '漢字 🙂'"
    tokens = client.post("/tokenize", json={"content": content}).json()["tokens"]
    assert client.post("/detokenize", json={"tokens": tokens}).json()["content"] == content
    pieces = client.post("/tokenize", json={"content": content, "with_pieces": True}).json()["tokens"]
    assert [piece["id"] for piece in pieces] == tokens
    assert all(piece["piece"] for piece in pieces)
    body = {"content": content, "add_special": True, "with_pieces": True, "model": "starcoder2:incoder"}
    start, *others = client.post("/tokenize", json=body).json()["tokens"]
    assert (start["piece"], others) == ("<|endoftext|>", pieces)


@pytest.mark.parametrize("key", [None, "Bearer wrong", "Bearer ", "Basic x"])
def test_a_wrong_key_is_an_authentication_error(key: str | None, guarded: TestClient) -> None:
    headers = {} if key is None else {"Authorization": key}
    for path in ("/completions", "/infill"):
        answer = guarded.post(path, json={"prompt": "x"}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")
    assert guarded.get("/health").status_code == 200


@pytest.mark.parametrize("header", [{"Authorization": f"Bearer {KEY}"}, {"X-Api-Key": KEY}])
def test_the_right_key_is_accepted_in_two_headers(header: dict[str, str], guarded: TestClient) -> None:
    answer = guarded.post("/completions", json={"prompt": "x", "n_predict": 1}, headers=header)
    assert answer.status_code == 200
    assert "content" in answer.json()


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("/infill", lambda body: body["error"]["message"]),
        ("/api/generate", lambda body: body["error"]),
        ("/v1/fim/completions", lambda body: body["message"]),
        ("/v1/completions", lambda body: body["error"]["message"]),
        ("/v1/chat/completions", lambda body: body["error"]["message"]),
    ],
)
def test_errors_have_the_shape_of_their_dialect(path: str, read: Any, client: TestClient) -> None:
    for content in ("", "[", "[]", '{"temperature": NaN}', '{"top_k": 1e400}', '{"x": ' + "9" * 400 + "}"):
        answer = client.post(path, content=content)
        assert answer.status_code == 400
        assert isinstance(read(answer.json()), str)
