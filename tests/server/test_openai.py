"""POST /v1/completions, as OpenAI's clients send it."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from incoder.inference.infill_model import InfillModel

PROMPT, SUFFIX = "def mean(xs):\n    return ", "\n\n\nprint(mean([1]))\n"
GREEDY = {"prompt": PROMPT, "suffix": SUFFIX, "temperature": 0, "max_tokens": 32}


def complete(client: TestClient, **body: Any) -> Any:
    answer = client.post("/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def stream(client: TestClient, **body: Any) -> list[Any]:
    """The events of a stream; the last one is [DONE]."""
    answer = client.post("/v1/completions", json={**body, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert events.pop() == "[DONE]"
    return [json.loads(event) for event in events]


def test_a_suffix_makes_it_an_infill_as_the_model_fills_it(client: TestClient, mini: InfillModel) -> None:
    answer = complete(client, **GREEDY)
    infill = mini.infill([PROMPT, SUFFIX], temperature=0, max_new_tokens=32).infills[0]
    assert (answer["object"], answer["model"]) == ("text_completion", "mini")
    assert answer["choices"] == [{"text": infill, "index": 0, "logprobs": None, "finish_reason": "stop"}]


def test_without_a_suffix_the_prompt_is_continued(client: TestClient, mini: InfillModel) -> None:
    answer = complete(client, prompt=PROMPT, temperature=0, max_tokens=6)
    assert answer["choices"][0]["text"] == mini.complete(PROMPT, temperature=0, max_new_tokens=6).infills[0]
    assert answer["choices"][0]["finish_reason"] == "length"


def test_usage_is_complete_and_counts_cached_tokens(client: TestClient) -> None:
    long = {**GREEDY, "prompt": "import os\n" * 20 + PROMPT}
    complete(client, **long)
    usage = complete(client, **long)["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert (
        usage["prompt_tokens"] - 16
        <= usage["prompt_tokens_details"]["cached_tokens"]
        < usage["prompt_tokens"]
    )


def test_a_stream_has_the_same_text_and_then_the_usage(client: TestClient) -> None:
    *chunks, last = stream(client, **GREEDY, stream_options={"include_usage": True})
    text = "".join(chunk["choices"][0]["text"] for chunk in chunks)
    whole = complete(client, **GREEDY)
    assert text == whole["choices"][0]["text"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == whole["usage"]["total_tokens"]
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_a_stream_has_the_line_ends_of_its_text(client: TestClient) -> None:
    body = {**GREEDY, "prompt": "def f(x):\r\n    y = 1\r\n", "suffix": "\r\n"}
    text = "".join(chunk["choices"][0]["text"] for chunk in stream(client, **body))
    assert text == complete(client, **body)["choices"][0]["text"]


@pytest.mark.parametrize("temperature", [0, 0.9])
@pytest.mark.parametrize("streams", [False, True])
def test_n_choices_come_for_each_prompt_in_order(
    client: TestClient, temperature: float, streams: bool
) -> None:
    body = {"prompt": ["x = ", "import "], "n": 3, "temperature": temperature, "max_tokens": 3, "seed": 5}
    if streams:
        texts: dict[int, str] = {}
        for chunk in stream(client, **body):
            for choice in chunk["choices"]:
                texts[choice["index"]] = texts.get(choice["index"], "") + choice["text"]
        assert list(range(6)) == sorted(texts)
        found = [texts[index] for index in range(6)]
    else:
        choices = complete(client, **body)["choices"]
        assert [choice["index"] for choice in choices] == list(range(6))
        found = [choice["text"] for choice in choices]
    alone = complete(client, **{**body, "prompt": "import "})["choices"]
    assert found[3:] == [choice["text"] for choice in alone]


def test_best_of_returns_the_most_probable(client: TestClient) -> None:
    body = {"prompt": "import ", "temperature": 1.2, "max_tokens": 4, "seed": 3, "logprobs": 0}
    every = complete(client, **body, n=6)["choices"]
    best = complete(client, **body, n=1, best_of=6)["choices"][0]

    def mean(choice: Any) -> float:
        values = choice["logprobs"]["token_logprobs"]
        return float(sum(values) / len(values))

    assert best["text"] == max(every, key=mean)["text"]


def test_equal_seeds_give_equal_answers_and_none_gives_others(client: TestClient) -> None:
    body = {"prompt": "import ", "temperature": 1.5, "max_tokens": 8}
    seeded = {complete(client, **body, seed=7)["choices"][0]["text"] for _ in range(3)}
    free = {complete(client, **body)["choices"][0]["text"] for _ in range(6)}
    assert len(seeded) == 1
    assert len(free) > 1


def test_echo_with_logprobs_scores_the_prompt(client: TestClient, mini: InfillModel) -> None:
    """As lm-evaluation-harness asks for the likelihood of a continuation."""
    ids = mini.tokenizer.encode("import os\nimport sys\n")
    prompts = [ids, ids[:3]]
    body: dict[str, Any] = {
        "prompt": prompts,
        "max_tokens": 1,
        "logprobs": 1,
        "echo": True,
        "temperature": 0,
        "seed": 1,
    }
    for choice, prompt in zip(complete(client, **body)["choices"], prompts, strict=True):
        found = choice["logprobs"]
        assert len(found["tokens"]) == len(prompt) + 1
        assert found["token_logprobs"][0] is None
        greatest = [max(one.values()) for one in found["top_logprobs"][1:]]
        assert all(top >= own for top, own in zip(greatest, found["token_logprobs"][1:], strict=True))
        assert "".join(found["tokens"][:-1]) == mini.tokenizer.decode(prompt)
        assert choice["text"].startswith(mini.tokenizer.decode(prompt))


def test_tokens_of_logprobs_are_the_text(client: TestClient) -> None:
    choice = complete(client, prompt="import numpy as ", max_tokens=5, logprobs=2, temperature=0)["choices"][
        0
    ]
    found = choice["logprobs"]
    assert "".join(found["tokens"]) == choice["text"]
    assert found["text_offset"][0] == 0
    assert all(2 <= len(one) <= 3 for one in found["top_logprobs"])


def test_stop_strings_may_be_many_and_repeat(client: TestClient) -> None:
    stop = ["return", "return", *(f"<{number}>" for number in range(40))]
    body = {"prompt": "def f(x):\n", "temperature": 0, "max_tokens": 30}
    text = complete(client, **body)["choices"][0]["text"]
    assert "return" in text
    assert complete(client, **body, stop=stop)["choices"][0]["text"] == text.partition("return")[0]
    assert complete(client, **body, stop=None)["choices"][0]["text"] == text


def test_a_bias_and_penalties_change_the_choice(client: TestClient, mini: InfillModel) -> None:
    body = {"prompt": "import ", "temperature": 0, "max_tokens": 1}
    first = complete(client, **body, logprobs=0)["choices"][0]["logprobs"]["tokens"][0]
    (token_id,) = mini.tokenizer.encode(first)
    biased = complete(client, **body, logit_bias={str(token_id): -100}, logprobs=0)["choices"][0]
    assert biased["logprobs"]["tokens"][0] != first
    assert complete(client, prompt="x x x", presence_penalty=2, frequency_penalty=-2, max_tokens=2)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"prompt": [1, "a"]}, "must not mix texts and token ids"),
        ({"prompt": [1], "suffix": "x"}, "suffix must be left out"),
        ({"prompt": []}, "must have a prompt"),
        ({"prompt": "x", "n": 0}, "n must be a whole number"),
        ({"prompt": "x", "n": 1000}, "at most 16 candidates"),
        ({"prompt": "x", "n": 2, "best_of": 3, "stream": True}, "best_of must be n in a stream"),
        ({"prompt": [5], "echo": True, "stream": True}, "echo must be false"),
        ({"prompt": "x", "max_tokens": -1}, "max_tokens must be"),
        ({"prompt": "x", "temperature": 1e300}, "temperature must be"),
        ({"prompt": "x", "user": 10**400}, "user must be a number in"),
        ({"prompt": "x", "logit_bias": {"a": 1}}, "must map token ids"),
        ({"prompt": "x", "logit_bias": {"99999999": 1}}, "logit_bias is for token ids in"),
        ({"prompt": [99999999]}, "prompt_ids is for token ids in"),
        ({"prompt": "x", "stop": ["s"] * 10_000}, "stop must have at most 256 items"),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
def test_what_cannot_be_answered_is_a_400_that_says_why(
    client: TestClient, body: dict[str, Any], message: str, streams: bool
) -> None:
    if body.get("stream") or not streams:
        answer = client.post("/v1/completions", json=body)
    else:
        answer = client.post("/v1/completions", json={**body, "stream": True})
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def test_an_unknown_model_is_a_404_that_names_the_others(client: TestClient) -> None:
    answer = client.post("/v1/completions", json={"prompt": "x", "model": "gpt"})
    assert answer.status_code == 404
    assert "it serves mini" in answer.json()["error"]["message"]


def test_models_are_listed_with_what_they_can_do(client: TestClient) -> None:
    (model,) = client.get("/v1/models").json()["data"]
    assert (model["id"], model["object"], model["max_model_len"]) == ("mini", "model", 2048)
    assert model["capabilities"]["infill"]
    assert client.get("/v1/models/mini").json() == model
    assert client.get("/v1/models/other").status_code == 404


def test_tokens_go_there_and_back(client: TestClient, mini: InfillModel) -> None:
    text = "def größe(x): return '漢'\n"
    tokens = client.post("/tokenize", json={"prompt": text, "add_special_tokens": False}).json()["tokens"]
    assert tokens == mini.tokenizer.encode(text)
    assert client.post("/tokenize", json={"content": text}).json()["tokens"] == tokens
    assert client.post("/detokenize", json={"tokens": tokens}).json()["prompt"] == text
    info = client.get("/tokenizer_info").json()
    assert client.post("/tokenize", json={"prompt": info["eos_token"]}).json()["count"] == 1
    assert client.post("/detokenize", json={"tokens": [10**6]}).status_code == 400
