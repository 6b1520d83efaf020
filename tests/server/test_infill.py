"""POST /v1/infill and /v1/edit: our own routes."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from incoder.inference.infill_model import InfillModel
from incoder.request_settings import RENAMED_SETTINGS, RequestSettings
from incoder.server.dialects.infill_fields import SETTINGS_SCHEMA

TEXT = "import <FILL>\n\n\ndef main():\n    print(<FILL>)\n"
BODY = {"text": TEXT, "temperature": 0.7, "num_candidates": 2, "seed": 4, "max_new_tokens": 8}


def post(client: TestClient, route: str, **body: Any) -> Any:
    answer = client.post(route, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_candidates_branch_off_the_greedy_one_if_the_request_says_so(
    client: TestClient, mini: InfillModel
) -> None:
    body: dict[str, Any] = {
        "num_candidates": 3,
        "max_new_tokens": 8,
        "text": "def mean(xs):\n    return <FILL>\n",
    }
    answers = [post(client, "/v1/infill", branches=True, rank_by="none", **body) for _ in range(2)]
    expected = mini.infill(body["text"], num_candidates=3, max_new_tokens=8, branches=True, rank_by="none")
    for answer in answers:  # without a seed, draws would differ
        assert [one["infills"] for one in answer["candidates"]] == [
            list(one.infills) for one in expected.candidates
        ]


def test_all_holes_are_filled_as_the_model_does(client: TestClient, mini: InfillModel) -> None:
    answer = post(client, "/v1/infill", **BODY)
    settings: RequestSettings = {"temperature": 0.7, "num_candidates": 2, "seed": 4, "max_new_tokens": 8}
    settings |= {"greedy_first": False, "rank_by": "mean"}
    expected = mini.infill(TEXT, **settings)
    assert [one["infills"] for one in answer["candidates"]] == [
        list(one.infills) for one in expected.candidates
    ]
    for one, candidate in zip(answer["candidates"], expected.candidates, strict=True):
        assert one["logprob"] == pytest.approx(candidate.logprob, rel=1e-3)
        logprobs = [token["logprob"] for tokens in one["tokens"] for token in tokens]
        assert sum(logprobs) == pytest.approx(one["total_logprob"])


def test_a_stream_says_which_hole_and_candidate_and_ends_with_the_result(client: TestClient) -> None:
    answer = client.post("/v1/infill", json={**BODY, "stream": True})
    events = [json.loads(one.removeprefix("data: ")) for one in answer.text.split("\n\n") if one]
    result = events.pop()
    assert result["type"] == "result"
    texts: dict[int, list[str]] = {}
    for event in events:
        assert event["type"] == "text"
        texts.setdefault(event["candidate"], ["", ""])[event["hole"]] += event["text"]
    streamed = {tuple(infills) for infills in texts.values()}
    assert streamed == {tuple(one["infills"]) for one in result["candidates"]}


def test_every_setting_of_a_request_is_a_field() -> None:
    names = set(RequestSettings.__annotations__) - set(RENAMED_SETTINGS) - {"deadline"}
    assert set(SETTINGS_SCHEMA) == names


@pytest.mark.parametrize(
    "settings",
    [
        {"stopping_rules": False},
        {"stopping_rules": ["lines"]},
        {"lines": "one"},
        {"rank_by": "full-text"},
        {"num_beams": 2, "temperature": 0},
        {"num_alternatives": 3},
        {"path": "a.py", "other_files": {"b.py": "x = 1\n"}, "repository": "r"},
        {"attributes": {"dstars": "5"}, "path": "a.py"},
        {"stop": "\n", "max_lines": 1, "token_healing": False, "num_tail_lines": 1},
        {"echo": True, "speculate": False, "cache_salt": "s", "time_limit": 30},
        {
            "logit_bias": {"7": -5},
            "allowed_first_ids": [40, 50],
            "allows_tags": True,
            "token_healing": False,
            "num_tail_lines": 0,
        },
    ],
)
def test_settings_reach_the_model(client: TestClient, mini: InfillModel, settings: dict[str, Any]) -> None:
    body = {"text": "def f(x):\n    return <FILL>\n", "seed": 1, "max_new_tokens": 6, **settings}
    answer = post(client, "/v1/infill", **body)
    if isinstance(rules := settings.get("stopping_rules"), bool):
        settings = {"stopping_rules": (), "was": rules}
    given = {name: value for name, value in settings.items() if name != "was"}
    if "logit_bias" in given:
        given["logit_bias"] = {7: -5}
    given |= {"seed": 1, "max_new_tokens": 6, "num_candidates": 1}  # infill draws several by default
    expected = mini.infill("def f(x):\n    return <FILL>\n", **given)
    assert answer["candidates"][0]["infills"] == list(expected.infills)
    assert answer["other_files_used"] == list(settings.get("other_files", {}))
    assert bool(settings.get("echo")) == ("prompt_tokens" in answer)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "parts must be given"),
        ({"parts": ["a"], "text": "b"}, "parts must be given"),
        ({"parts": ["a"] * 65}, "at most 64 parts"),
        ({"text": "<FILL>", "num_candidates": 17}, "at most 16 candidates"),
        ({"text": "<FILL>", "num_beams": 1000}, "at most 16 beams"),
        ({"text": "<FILL>", "project": "/etc"}, "the project must be one"),
        ({"text": "<FILL>", "lines": "two"}, "lines must be one of one, block, auto"),
        ({"text": "<FILL>", "other_files": {"a.py": 1}}, "other_files.a.py must be a string"),
        ({"text": "<FILL>", "other_files": {"a.py": "x"}}, "other_files need a path"),
        ({"text": "<FILL>", "stopping_rules": ["x"]}, "stopping_rules"),
        ({"text": "<FILL>", "top_p": 0}, "top_p must be in"),
    ],
)
def test_what_cannot_be_answered_is_a_400(client: TestClient, body: dict[str, Any], message: str) -> None:
    answer = client.post("/v1/infill", json=body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


PYTHON = "import math\n\n\ndef area(r):\n    return math.pi * r * r\n"


def test_a_rename_changes_all_occurrences(client: TestClient) -> None:
    answer = post(client, "/v1/edit/rename", text=PYTHON, name="r", to="radius")
    assert answer["text"] == PYTHON.replace("(r)", "(radius)").replace("r * r", "radius * radius")


def test_a_renaming_is_refused_if_another_file_uses_the_name(client: TestClient) -> None:
    others = {"main.py": "from shapes import area\n"}
    body = {"text": PYTHON, "path": "shapes.py", "name": "area", "to": "size", "other_files": others}
    answer = client.post("/v1/edit/rename", json=body)
    assert answer.status_code == 400
    assert "main.py" in answer.json()["error"]["message"]


def test_types_are_checked_without_the_files_and_settings_of_a_project(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = "from pathlib import Path\nPath('run').touch()\n"
    (tmp_path / "plugin.py").write_text(trap)
    (tmp_path / "json.py").write_text(trap)
    (tmp_path / "mypy.ini").write_text("[mypy]\nplugins = plugin.py\n")
    monkeypatch.chdir(tmp_path)
    answer = post(
        client, "/v1/edit/types", text="def size(xs):\n    return len(xs) + 'x'\n", check=True, seed=1
    )
    problems = [one["problem"] or "" for change in answer["changes"] for one in change["candidates"]]
    assert any(problem.startswith("rejected by mypy") for problem in problems)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("tool", "fields"),
    [
        ("docstring", {"function": "area", "num_candidates": 1, "max_new_tokens": 8}),
        ("types", {"num_candidates": 2}),
        ("rename", {"name": "r", "num_candidates": 2}),
        ("fix", {"lines": "5", "path": "a.py", "num_candidates": 2, "max_new_tokens": 8}),
        ("fix", {"path": "a.py", "num_candidates": 1, "max_new_tokens": 8}),
        ("edit", {"lines": "5:5", "comment": "double it", "path": "a.py", "num_candidates": 2}),
    ],
)
def test_a_tool_returns_the_changed_text_and_its_candidates(
    client: TestClient, tool: str, fields: dict[str, Any]
) -> None:
    answer = post(client, f"/v1/edit/{tool}", text=PYTHON, seed=1, **fields)
    is_changed = any(change["used"] is not None for change in answer["changes"])
    assert is_changed == (answer["text"] != PYTHON)
    for change in answer["changes"]:
        assert change["candidates"]


@pytest.mark.parametrize(
    ("tool", "body", "status", "message"),
    [
        ("docstring", {}, 400, "text is required"),
        ("docstring", {"text": "def f(:"}, 400, "invalid syntax (line 1)"),
        ("edit", {"text": "x\n", "comment": "y"}, 400, "lines must be given"),
        ("edit", {"text": "x\n", "comment": "y", "lines": "7"}, 400, "7"),
        ("rename", {"text": "x = 1\n", "name": "y"}, 400, "no variable"),
        ("fix", {"text": "x\n", "test": "rm -rf /"}, 403, "runs no commands"),
        ("edit", {"text": "x" * 500_001}, 413, "at most 500000 characters"),
    ],
)
def test_a_tool_refuses_with_its_reason(
    client: TestClient, tool: str, body: dict[str, Any], status: int, message: str
) -> None:
    answer = client.post(f"/v1/edit/{tool}", json=body)
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]
