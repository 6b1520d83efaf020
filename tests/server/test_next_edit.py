"""POST /v1/edit/next: the same edits as `incoder next-edit`, and clear refusals."""

from pathlib import PurePath
from typing import Any

import pytest
from starlette.testclient import TestClient

from incoder.editing.next_edits.proposals import next_edits
from incoder.inference.infill_model import InfillModel

BEFORE = """\
class Reader:
    def __init__(self, path):
        self.path = path

    def read(self):
        with open(self.path) as file:
            return file.read()
"""
AFTER = BEFORE.replace("self.path = path", "self.file_name = path")
EVENT = {"line": 3, "old": "        self.path = path\n", "new": "        self.file_name = path\n"}


def edits(client: TestClient, **body: Any) -> Any:
    answer = client.post("/v1/edit/next", json={"text": AFTER, "path": "reader.py", "min_gain": -9, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()["edits"]


@pytest.mark.parametrize("given", [{"before": BEFORE}, {"events": [EVENT]}])
def test_the_edits_are_those_of_the_tool(
    client: TestClient, mini: InfillModel, given: dict[str, object]
) -> None:
    expected = next_edits(mini, BEFORE, AFTER, path=PurePath("reader.py"), min_gain=-9)
    found = edits(client, **given)
    assert [(one["line"], one["start"], one["end"], one["text"]) for one in found] == [
        (one.line, one.edit.start, one.edit.end, one.edit.text) for one in expected
    ]
    assert (found[0]["line"], found[0]["old"], found[0]["text"]) == (6, "path", "file_name")
    assert found[0]["gain"] == pytest.approx(expected[0].gain, rel=1e-3)


def test_a_range_is_counted_in_characters(client: TestClient) -> None:
    text, before = (f"# 😀 é\n{one}" for one in (AFTER, BEFORE))
    (found,) = edits(client, text=text, before=before)
    assert text[found["start"] : found["end"]] == "path"


@pytest.mark.parametrize(
    "more",
    [
        {"quiet_lines": ["with open(self.path) as file:"]},
        {"rejected": [{"old": "path", "new": "file_name"}]},
        {"min_gain": 99},
    ],
)
def test_what_is_rejected_or_not_convincing_is_not_proposed(
    client: TestClient, more: dict[str, object]
) -> None:
    assert edits(client, before=BEFORE, **more) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "events must be given, or else before"),
        ({"before": BEFORE, "events": [EVENT]}, "events must be given, or else before"),
        ({"events": [{**EVENT, "line": 4}]}, "events[0].new must be the lines of the text from line on"),
        ({"events": [{**EVENT, "line": 0}]}, "events[0].line must be a whole number"),
        ({"events": [{"old": "x", "new": "y"}]}, "events[0].new must be the lines"),
        ({"before": BEFORE, "quiet_lines": [1]}, "quiet_lines[0] must be a string"),
        ({"before": BEFORE, "min_gain": "a lot"}, "min_gain must be a number"),
    ],
)
def test_a_wrong_body_is_refused_with_the_reason(
    client: TestClient, body: dict[str, object], message: str
) -> None:
    answer = client.post("/v1/edit/next", json={"text": AFTER, **body})
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def test_a_text_that_is_too_long_is_refused(client: TestClient) -> None:
    for text, before in (("x" * 500_001, ""), ("", "x" * 500_001)):
        answer = client.post("/v1/edit/next", json={"text": text, "before": before})
        assert answer.status_code == 413
