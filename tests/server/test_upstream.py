"""A second `incoder serve` as the upstream of a model: it writes what the model writes here."""

import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.testclient import TestClient

import incoder
from incoder.inference.infill_model import InfillModel
from incoder.inference.upstream.client import UpstreamError
from incoder.inference.upstream.model import UpstreamModel
from incoder.server.app import create_app
from incoder.server.models.local_model import LocalSource
from incoder.server.models.upstream_model import UpstreamSettings, UpstreamSource
from incoder.server.request_error import as_request_error
from incoder.server.settings import ServerSettings

pytestmark = pytest.mark.slow

TEXTS = [
    "import os\n\n\ndef exists(path):\n    return os.pa<FILL>\n",
    "def add(a, b):\n    return <FILL>\n\n\ndef sub(a, b):\n    return <FILL>\n",
    "class A:\n    def f(self, x):\n        if x:\n<FILL>\n        return 1\n",
    "x = 'a<FILL>'\r\ny = 2\r\n",
    "# é\nname = <FILL>\n",
    "def f(rows):\n<FILL>\n        print(row)\n    return 2\n",
    'def area(width, height):\n    """<FILL>"""\n    return width * height\n',
]


def started(source: LocalSource) -> tuple[uvicorn.Server, threading.Thread]:
    server = uvicorn.Server(
        uvicorn.Config(create_app(ServerSettings(), [source]), port=0, log_level="warning", ws="none")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    return server, thread


def url_of(server: uvicorn.Server) -> str:
    return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"


@pytest.fixture(scope="module")
def upstream_url(source: LocalSource) -> Iterator[str]:
    server, thread = started(source)
    yield url_of(server)
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def upstream(upstream_url: str) -> Iterator[UpstreamModel]:
    with incoder.load(upstream_url, model="mini") as model:
        yield model


@pytest.mark.parametrize("text", TEXTS)
def test_greedy_infills_equal_the_local_ones(text: str, upstream: UpstreamModel, mini: InfillModel) -> None:
    ours = upstream.infill(text, path="a.py", temperature=0, max_new_tokens=24)
    assert ours.text == mini.infill(text, path="a.py", temperature=0, max_new_tokens=24).text


def test_nothing_is_missing_at_our_own_server(upstream: UpstreamModel) -> None:
    assert upstream.notes == ()
    assert upstream.context_length == 2048


def test_scores_equal_the_local_ones(upstream: UpstreamModel, mini: InfillModel) -> None:
    text = "def mean(xs):\n    return sum(xs) / len(xs)\n"
    assert upstream.score(text).token_logprobs == pytest.approx(mini.score(text).token_logprobs, abs=1e-3)
    parts, infills = "def mean(xs):\n    return <FILL>\n", ["sum(xs) / len(xs)", "quux"]
    for ours, theirs in zip(
        upstream.score_infills(parts, infills), mini.score_infills(parts, infills), strict=True
    ):
        assert ours.token_logprobs == pytest.approx(theirs.token_logprobs, abs=1e-3)


def test_candidates_are_drawn_and_ranked(upstream: UpstreamModel) -> None:
    found = upstream.infill(TEXTS[1], num_candidates=4, temperature=1.0, max_new_tokens=16, rank_by="mean")
    logprobs = [one.logprob for one in found.candidates]
    assert len(found.candidates) > 1
    assert logprobs == sorted(logprobs, reverse=True)
    assert all(one < 0 for one in logprobs)


def test_a_server_in_front_of_a_server_answers_alike(upstream_url: str, client: TestClient) -> None:
    front = create_app(ServerSettings(), [UpstreamSource(UpstreamSettings(urls=(upstream_url,)))])
    body = {"prompt": "def add(a, b):\n    return ", "suffix": "\n", "temperature": 0, "max_tokens": 16}
    with TestClient(front, base_url="http://127.0.0.1") as client_of_front:
        ours = client_of_front.post("/v1/completions", json=body).json()
        streamed = client_of_front.post("/v1/completions", json=body | {"stream": True}).text
        edited = client_of_front.post(
            "/v1/edit/docstring",
            json={"text": "def add(a, b):\n    return a + b\n", "function": "add", "path": "a.py"},
        )
    theirs = client.post("/v1/completions", json=body).json()
    assert ours["choices"][0]["text"] == theirs["choices"][0]["text"]
    assert ours["usage"]["prompt_tokens"] == theirs["usage"]["prompt_tokens"]
    assert "data: [DONE]" in streamed
    assert edited.status_code == 200
    assert edited.json()["changes"][0]["candidates"]  # written there, judged here


def test_an_upstream_that_has_ended_is_no_mistake_of_the_client(source: LocalSource) -> None:
    server, thread = started(source)
    front = create_app(ServerSettings(), [UpstreamSource(UpstreamSettings(urls=(url_of(server),)))])
    with TestClient(front, base_url="http://127.0.0.1") as client_of_front:
        server.should_exit = True
        thread.join()
        answer = client_of_front.post("/v1/completions", json={"prompt": "x = ", "suffix": "\n"})
        edited = client_of_front.post("/v1/edit/fix", json={"text": "x = \n", "lines": "1", "path": "a.py"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"]["type"] == "unavailable_error"
    assert "cannot connect" in answer.json()["error"]["message"]
    assert edited.status_code == 503


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UpstreamError("no answer in time", is_temporary=True), 503),
        (UpstreamError("it does not accept the API key", status=401), 502),
        (UpstreamError("it is no completions server"), 502),
        (UpstreamError("temperature is too high there", status=400), 400),
    ],
)
def test_only_a_request_that_is_wrong_itself_is_refused_as_such(error: UpstreamError, status: int) -> None:
    assert as_request_error(error).status == status
