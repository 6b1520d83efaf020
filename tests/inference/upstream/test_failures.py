"""Servers that fail: what the user reads, what is tried again, and what is not."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import incoder
from incoder import IncoderError
from incoder.embedded_models import EMBEDDED
from incoder.inference.upstream.loading import load_upstream, read_api_key
from incoder.tokenizer.formats import read_tokenizer

MINI = read_tokenizer(EMBEDDED / "mini")


Serve = Callable[..., Any]


def free_url() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}/v1"


def refusal(*urls: str, **options: Any) -> str:
    with pytest.raises(IncoderError) as caught:
        load_upstream(urls, **options).close()
    return str(caught.value)


def test_nothing_listens() -> None:
    url = free_url()
    assert refusal(url).startswith(f"{url}: cannot connect")


def test_a_missing_and_a_wrong_key(serve: Serve, tmp_path: Path) -> None:
    server, file = serve(key="right"), tmp_path / "key"
    assert "wants an API key" in refusal(server.url)
    file.write_text("wrong\n")
    message = refusal(server.url, api_key_file=file)
    assert "does not accept the API key" in message
    assert "wrong" not in message
    file.write_text("right\n")
    load_upstream([server.url], api_key_file=file).close()


@pytest.mark.parametrize("content", ["", "\n", "two words", "a\nb\n", "é", "\x00"])
def test_a_file_without_a_key_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(content)
    with pytest.raises(IncoderError, match="must hold an API key"):
        read_api_key(tmp_path / "key")


def test_another_model_is_refused_with_the_list(serve: Serve) -> None:
    message = refusal(serve(models=("a", "b")).url, model="c")
    assert "has no model 'c'" in message
    assert "'a', 'b'" in message
    assert "name one of them" in refusal(serve(models=("a", "b")).url)


def test_a_url_without_v1_names_the_right_one(serve: Serve) -> None:
    url = serve().url.removesuffix("/v1")
    assert f"perhaps its API is at {url}/v1" in refusal(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/v1", "given by its URL"),
        ("http://", "given by its URL"),
        ("http://host:0/v1", "given by its URL"),
        ("http://host:99999/v1", "given by its URL"),
        ("http://host/v1 ", "given by its URL"),
        ("http://me:secret@host/v1", "must not hold a password"),
        ("http://host/v1?key=1", "ends with its path"),
    ],
)
def test_a_bad_url_is_refused(url: str, message: str) -> None:
    assert message in refusal(url)


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>not json</html>",
        b"[1, 2]",
        b'{"choices": 7}',
        b'{"choices": [{"text": 7}]}',
        b'{"choices": [{}]}',
        b"[" * 100_000,
        b'{"choices": [{"text": "x", "logprobs": {"tokens": ["x"], "token_logprobs": []}}]}',
        b'{"choices": [{"text": "x"}], "usage": {"prompt_tokens": "many"}}',
    ],
)
def test_a_server_that_answers_nonsense_is_named_as_such(serve: Serve, answer: bytes) -> None:
    def nonsense(path: str, _: dict[str, Any]) -> Any:
        return (200, answer) if path.endswith("completions") else None

    assert "is not an OpenAI-compatible completions server" in refusal(serve(before=nonsense).url)


def test_an_error_of_the_server_is_shown_short_and_printable(serve: Serve) -> None:
    def fail(path: str, _: dict[str, Any]) -> Any:
        if path.endswith("completions"):
            return 500, {"error": {"message": "out of memory\x1b[2J" + "!" * 10_000}}
        return None

    message = refusal(serve(before=fail).url)
    assert "answered with status 500: out of memory" in message
    assert message.isprintable()
    assert len(message) < 500


def test_a_failing_server_is_replaced_by_the_next(serve: Serve) -> None:
    one, other = serve(answer="7"), serve(answer="7")
    with incoder.load([one.url, other.url], model="mini") as model:
        model.infill("x = <FILL>\n", temperature=0)
        first, second = (one, other) if one.asked else (other, one)
        assert not second.asked  # the same prompt goes to the same server

        def fail(path: str, _: dict[str, Any]) -> Any:
            return 503, {"error": {"message": f"no {path}"}}

        first.before = fail
        assert model.infill("x = <FILL>\n", temperature=0).infills == ("7",)
        assert second.asked
        num_asked = len(first.bodies)
        model.infill("x = <FILL>\n", temperature=0)
        assert len(first.bodies) == num_asked  # left out for a while


def test_all_servers_fail(serve: Serve) -> None:
    one, other = serve(), serve()
    with incoder.load([one.url, other.url], model="mini") as model:
        for server in (one, other):
            server.before = _unavailable
        with pytest.raises(IncoderError) as caught:
            model.infill("x = <FILL>\n")
    assert one.url in str(caught.value)
    assert other.url in str(caught.value)


def test_a_server_that_is_down_at_first_is_used_later(serve: Serve) -> None:
    one, other = serve(answer="7"), serve(answer="7")
    one.before = _unavailable
    with incoder.load([one.url, other.url], model="mini") as model:
        assert any("503" in note for note in model.notes)
        assert model.infill("x = <FILL>\n", temperature=0).infills == ("7",)


def test_a_stream_that_is_cut_is_an_error_and_not_asked_again(serve: Serve) -> None:
    def cut(number: int) -> None:
        if number == 2:
            raise ConnectionAbortedError

    one, other = (serve(answer="one + two + three", on_chunk=cut) for _ in range(2))
    with (
        incoder.load([one.url, other.url], model="mini") as model,
        pytest.raises(IncoderError, match="cut off before its end"),
    ):
        model.infill("x = <FILL>\n", temperature=0, stopping_rules=())
    assert len(one.asked) + len(other.asked) == 1


def test_a_stream_that_breaks_before_any_text_goes_to_the_next(serve: Serve) -> None:
    one, other = serve(answer="seven"), serve(answer="seven")
    with incoder.load([one.url, other.url], model="mini") as model:
        model.infill("x = <FILL>\n", temperature=0)
        first = one if one.asked else other

        def cut(_: int) -> None:
            raise ConnectionAbortedError

        first.on_chunk = cut
        assert model.infill("x = <FILL>\n", temperature=0).infills == ("seven",)


def test_an_error_within_a_stream_is_shown(serve: Serve) -> None:
    server = serve()
    server.streamed = lambda _: iter([{"error": {"message": "the engine died"}}])
    with (
        incoder.load(server.url, model="mini") as model,
        pytest.raises(IncoderError, match="the engine died"),
    ):
        model.infill("x = <FILL>\n")


def test_a_closed_model_says_so(serve: Serve) -> None:
    model = incoder.load(serve().url, model="mini")
    model.close()
    model.close()
    with pytest.raises(IncoderError, match="the model is closed"):
        model.complete("x")


def test_a_callback_that_waits_for_a_request_gets_an_error(serve: Serve) -> None:
    with (
        incoder.load(serve().url, model="mini") as model,
        pytest.raises(IncoderError, match="a callback cannot wait"),
    ):
        model.complete("x", on_text=lambda _: print(model.complete("y")))


def test_arguments_of_servers_and_of_local_models_do_not_mix() -> None:
    with pytest.raises(IncoderError, match="for the URL of a server"):
        incoder.load("mini", model="x")
    with pytest.raises(IncoderError, match="for models on this machine"):
        incoder.load("http://127.0.0.1:1/v1", device="cpu")


def _unavailable(*_: Any) -> tuple[int, Any]:
    return 503, {"error": {"message": "starting"}}
