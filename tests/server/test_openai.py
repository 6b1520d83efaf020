"""POST /v1/completions, as OpenAI's clients send it."""

from starlette.testclient import TestClient


def test_a_suffix_makes_the_completion_an_infill(client: TestClient) -> None:
    body = {"prompt": "def mean(xs):\n    return ", "suffix": "\n", "temperature": 0, "max_tokens": 16}
    answer = client.post("/v1/completions", json=body).json()
    assert answer["object"] == "text_completion"
    assert answer["choices"][0]["text"]
