"""The curl examples of docs/server.md."""

import json
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

PAGE = Path(__file__).resolve().parents[2] / "docs" / "server.md"
EXAMPLES = re.findall(r"^curl http://127\.0\.0\.1:8012(\S+) -d '([^']*)'$", PAGE.read_text(), re.MULTILINE)


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize(("path", "body"), EXAMPLES, ids=[path for path, _ in EXAMPLES])
def test_an_example_is_answered(client: TestClient, path: str, body: str) -> None:
    assert client.post(path, content=body).status_code == 200
    assert json.loads(body)
