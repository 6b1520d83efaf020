"""Requests as real clients send them, and what those clients read of the answers.

The shapes of clients that cannot run here (Zed, VS Code), and of others, so that a change shows at once.
"""

import json
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

PREFIX, SUFFIX = "import os\n\n\ndef size(path):\n    return os.path.", "\n\n\nprint(size('a'))\n"
QWEN = f"<|fim_prefix|>{PREFIX}<|fim_suffix|>{SUFFIX}<|fim_middle|>"
STARCODER = f"<fim_prefix>{PREFIX}<fim_suffix>{SUFFIX}<fim_middle>"
NO_MARKERS = ("fim", "<PRE>", "<MID>", "[PREFIX]")


def events(answer: Response) -> list[Any]:
    """The JSON of each `data:` line; what clients skip is left out."""
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def is_infill(text: str) -> bool:
    return bool(text) and not any(mark in text for mark in NO_MARKERS)


def test_zed_with_a_compatible_api_finds_every_field_that_it_needs(client: TestClient) -> None:  # T5
    body = {
        "model": "qwen2.5-coder:incoder",
        "prompt": QWEN,
        "max_tokens": 16,
        "stop": ["<|endoftext|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"],
    }
    answer = client.post("/v1/completions", json=body).json()
    assert isinstance(answer["id"], str)
    assert isinstance(answer["created"], int)
    assert (answer["object"], isinstance(answer["model"], str)) == ("text_completion", True)
    assert is_infill(answer["choices"][0]["text"])
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert isinstance(answer["usage"][name], int)


def test_zed_with_ollama_chooses_a_model_and_asks_it(client: TestClient) -> None:
    names = [model["name"] for model in client.get("/api/tags").json()["models"]]
    assert {"mini", "qwen2.5-coder:incoder", "codellama:incoder", "deepseek-coder:incoder"} <= set(names)
    shown = client.post("/api/show", json={"model": "qwen2.5-coder:incoder"}).json()
    assert ".Suffix" in shown["template"]
    assert "insert" in shown["capabilities"]
    assert isinstance(shown["model_info"], dict)
    body = {
        "model": "qwen2.5-coder:incoder",
        "prompt": QWEN,
        "raw": True,
        "stream": False,
        "options": {"num_predict": 16, "temperature": 0.2, "stop": ["<|endoftext|>", "<|file_sep|>"]},
    }
    answer = client.post("/api/generate", json=body).json()
    assert is_infill(answer["response"])
    assert answer["created_at"].endswith("Z")


def test_llama_vscode_asks_for_three_candidates(client: TestClient) -> None:
    body = {
        "id_slot": 0,
        "input_prefix": "import os\n\n\ndef size(path):\n",
        "input_suffix": SUFFIX,
        "input_extra": [{"text": "def exists(path):\n    ...\n", "time": 1700000000123, "filename": "b.py"}],
        "prompt": "    return os.path.",
        "n_predict": 16,
        "n_cmpl": 3,
        "top_k": 40,
        "top_p": 0.99,
        "stream": False,
        "samplers": ["top_k", "top_p", "infill"],
        "cache_prompt": True,
        "n_indent": 4,
        "t_max_prompt_ms": 500,
        "t_max_predict_ms": 2500,
    }
    answers = client.post("/infill", json=body).json()
    assert 1 <= len(answers) <= 3
    assert all(is_infill(answer["content"]) for answer in answers)
    assert answers[0]["generation_settings"]["n_ctx"] == 2048
    assert answers[0]["timings"]["predicted_n"] > 0
    warm_up = {**body, "n_predict": 0, "samplers": [], "t_max_predict_ms": 1}
    for name in ("top_k", "top_p", "stream", "n_cmpl"):
        del warm_up[name]
    assert client.post("/infill", json=warm_up).json()["content"] == ""
    assert client.get("/health").json()["status"] == "ok"
    assert client.get("/props").json()["default_generation_settings"]["n_ctx"] == 2048


def test_llama_vims_raw_answer_passes_its_check(client: TestClient) -> None:
    body = {
        "input_prefix": PREFIX,
        "input_suffix": SUFFIX,
        "n_predict": 8,
        "model": "",
        "response_fields": ["content"],
    }
    # Its curl gives a content type, an empty bearer token, and the body on standard input.
    answer = client.post("/infill", content=json.dumps(body), headers={"Authorization": "Bearer "})
    assert answer.text.startswith('{"content":"')


@pytest.mark.parametrize("content_type", [None, "application/x-www-form-urlencoded", "text/plain", "x"])
def test_the_content_type_does_not_matter(content_type: str | None, client: TestClient) -> None:  # T3
    headers = {} if content_type is None else {"Content-Type": content_type}
    body = json.dumps({"prompt": "x = ", "max_tokens": 1})
    for path in ("/v1/completions", "/completion", "/api/generate", "/v1/fim/completions"):
        assert client.post(path, content=body, headers=headers).status_code == 200


def test_continue_with_mistral_reads_deltas(client: TestClient) -> None:
    body = {
        "model": "codestral-latest",
        "prompt": PREFIX,
        "suffix": SUFFIX,
        "max_tokens": 16,
        "temperature": 0.01,
        "stop": ["[PREFIX]", "[SUFFIX]", "/src/", "#- coding: utf-8", "```"],
        "stream": True,
    }
    chunks = events(client.post("/v1/fim/completions", json=body))
    assert is_infill("".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks))


def test_continue_with_deepseek_reads_texts(client: TestClient) -> None:
    body = {
        "model": "deepseek-coder",
        "prompt": PREFIX,
        "suffix": SUFFIX,
        "max_tokens": 16,
        "temperature": 0.01,
        "stream": True,
    }
    chunks = events(client.post("/beta/completions", json=body))
    assert is_infill("".join(chunk["choices"][0]["text"] for chunk in chunks))


def test_continue_with_ollama_looks_for_a_suffix_then_sends_one(client: TestClient) -> None:
    assert ".Suffix" in client.post("/api/show", json={"name": "mini"}).json()["template"]
    body = {
        "model": "mini",
        "raw": True,
        "prompt": PREFIX,
        "suffix": SUFFIX,
        "keep_alive": 1800,
        "options": {"temperature": 0.01, "num_predict": 16, "stop": ["/src/"], "num_ctx": 4096},
        "stream": True,
    }
    answer = client.post("/api/generate", json=body)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert is_infill("".join(line["response"] for line in lines))
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]


def test_continue_with_llama_cpp_writes_markers_into_a_completion(client: TestClient) -> None:
    body = {
        "prompt": STARCODER,
        "model": "starcoder2:incoder",
        "stream": True,
        "n_predict": 16,
        "temperature": 0.01,
    }
    chunks = events(client.post("/completion", json=body))
    assert is_infill("".join(chunk["content"] for chunk in chunks))
    assert chunks[-1]["stop"]


def test_minuet_gets_three_streams_for_three_identical_requests(client: TestClient) -> None:  # T7, T8
    body = {
        "model": "mini",
        "stream": True,
        "prompt": f"# language: python\n# indentation: use 4 spaces for a tab\n{PREFIX}",
        "suffix": SUFFIX,
        "max_tokens": 16,
        "temperature": 1.0,
    }
    texts = []
    for _ in range(3):
        chunks = events(client.post("/v1/completions", json=body))
        texts.append("".join(chunk["choices"][0]["text"] for chunk in chunks))
    assert all(map(is_infill, texts))


@pytest.mark.parametrize("suffix", [{}, {"suffix": SUFFIX}])
def test_cmp_ai_writes_code_llamas_markers_and_unloads_at_its_end(
    client: TestClient, suffix: dict[str, str]
) -> None:
    body = {
        "model": "codellama:incoder",
        "prompt": f"<PRE> {PREFIX} <SUF>{SUFFIX} <MID>",
        "keep_alive": "5m",
        "template": "{{ .Prompt }}",
        "system": "",
        "stream": False,
        "options": {"temperature": 0.2, "num_predict": 16},
        **suffix,
    }
    answer = client.post("/api/generate", json=body).json()
    assert answer["done"]
    assert suffix or is_infill(answer["response"])
    unloaded = client.post("/api/generate", json={"model": "codellama:incoder", "keep_alive": 0})  # T11
    assert (unloaded.status_code, unloaded.json()["done_reason"]) == (200, "unload")


def test_cellsenses_prompt_begins_with_files_and_has_fourteen_stops(client: TestClient) -> None:  # T6, T8
    stops = [
        *("<file_sep>", "<|endoftext|>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<fim_pad>"),
        *("<file_sep>", "<repo_name>", "<jupyter_start>", "<jupyter_text>", "<jupyter_code>"),
        *("<jupyter_output>", "<jupyter_script>", "<empty_output>"),
    ]
    blanks = " " * 12
    body = {
        "model": "starcoder2:incoder",
        "prompt": f"<file_sep>b.py\nX = 1\n\n{blanks}<file_sep>a.py\n{blanks}    {STARCODER}",
        "stop": stops,
        "max_tokens": 16,
        "temperature": 0,
        "stream": True,
    }
    chunks = events(client.post("/v1/completions", json=body))
    assert is_infill("".join(chunk["choices"][0]["text"] for chunk in chunks))
    assert client.post("/v1/completions", json={**body, "stop": None, "stream": False}).status_code == 200
    warm_up = {
        "model": "mini",
        "prompt": "\n",
        "raw": True,
        "stream": False,
        "keep_alive": "30m",
        "options": {"num_predict": 1, "temperature": 0},
    }
    assert client.post("/api/generate", json=warm_up).json()["done"]


def test_markers_are_text_under_the_models_own_name(client: TestClient) -> None:
    body = {"prompt": QWEN, "max_tokens": 4, "temperature": 0, "echo": True}
    for model, is_text in (("mini", True), ("qwen2.5-coder:mini", False), ("starcoder2:incoder", True)):
        usage = client.post("/v1/completions", json={**body, "model": model, "echo": False}).json()["usage"]
        plain = client.post("/tokenize", json={"prompt": QWEN}).json()["count"]
        assert (usage["prompt_tokens"] >= plain - 1) is is_text


def test_tabbys_extension_checks_completes_and_reports(client: TestClient) -> None:
    for health in (client.get("/v1/health"), client.post("/v1/health")):
        assert health.json()["version"]["git_describe"].startswith("v")
    assert client.get("/v1beta/server_setting").json()["disable_client_side_telemetry"] is True
    assert client.get("/v1beta/models").json()["completion"] == ["mini"]
    body = {"language": "python", "segments": {"prefix": PREFIX, "suffix": SUFFIX, "filepath": "a.py"}}
    answer = client.post("/v1/completions", json=body).json()
    assert is_infill(answer["choices"][0]["text"])
    event = {"completion_id": answer["id"], "choice_index": 0, "view_id": "v", "elapsed": 1200}
    for kind, query in (("view", ""), ("select", ""), ("select", "?select_kind=line"), ("dismiss", "")):
        assert client.post(f"/v1/events{query}", json={"type": kind, **event}).status_code == 200
    page = client.get("/metrics").text
    for kind in ("shown", "accepted", "partially accepted", "dismissed"):
        assert f'incoder_suggestions_total{{event="{kind}"}} 1.0' in page
    assert client.post("/v1/events", json={"type": "poem"}).status_code == 400
    assert client.post("/v1/events", json=event).status_code == 400
