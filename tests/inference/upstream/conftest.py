"""A completions server that follows a script, as vLLM, llama-cpp-python or a server of text alone would."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import incoder
from incoder.embedded_models import EMBEDDED
from incoder.inference.upstream.model import UpstreamModel
from incoder.tokenizer.formats import read_tokenizer
from incoder.tokenizer.text_tokenizer import TextTokenizer

_PLAIN_FIELDS = {"model", "prompt", "max_tokens", "temperature", "stream", "top_p", "seed"}


class Refused(Exception):  # noqa: N818
    """A request that a server of this kind does not take."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status, self.body = status, body


@dataclass
class FakeServer:
    """A server of one model that always writes `answer`; it continues where a prompt has its beginning.

    `kind` is "vllm" (token ids, no suffix, one token a chunk), "llama-cpp" (text, extensions ignored), or
    "text" (neither ids nor log-probabilities). `answer` may depend on the prompt. Where a bias forbids its
    next token, or its end, it writes `otherwise`.
    """

    tokenizer: TextTokenizer
    answer: str | Callable[[str], str] = "1 + 2"
    otherwise: str = ""
    kind: str = "vllm"
    models: tuple[str, ...] = ("mini",)
    key: str | None = None
    max_model_len: int | None = 2048
    finish_reason: str = "stop"
    before: Callable[[str, dict[str, Any]], tuple[int, Any] | None] = lambda *_: None  # status and body
    on_chunk: Callable[[int], None] = lambda _: None  # may raise ConnectionAbortedError
    bodies: list[dict[str, Any]] = field(default_factory=list)
    num_open: int = 0
    num_chunks: int = 0
    url: str = ""

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The bodies that ask for a stream: no probe does."""
        return [body for body in self.bodies if body.get("stream")]

    def prompt(self, body: dict[str, Any]) -> str:
        """The prompt as text, special tokens by name."""
        prompt = body["prompt"]
        if isinstance(prompt, str):
            return prompt
        names = {token_id: name for name, token_id in self.tokenizer.special_ids.items()}
        return "".join(names.get(one) or self.tokenizer.decode([one]) for one in prompt)

    def continuation(self, body: dict[str, Any]) -> str:
        prompt = self.prompt(body)
        answer = self.answer if isinstance(self.answer, str) else self.answer(prompt)
        begun = next(size for size in range(len(answer), -1, -1) if prompt.endswith(answer[:size]))
        return answer[begun:]

    def check(self, body: dict[str, Any]) -> None:
        """Refuse what a server of this kind refuses."""
        prompt = body["prompt"]
        if body.get("model") not in self.models:
            raise Refused(404, {"error": {"message": f"The model `{body.get('model')}` does not exist."}})
        if isinstance(prompt, list) and self.kind != "vllm":
            raise Refused(422, {"detail": "prompt: Input should be a valid string"})
        if "suffix" in body:
            raise Refused(400, {"error": {"message": "suffix is not currently supported"}})
        extra = sorted(body.keys() - _PLAIN_FIELDS)
        if self.kind == "text" and extra:
            raise Refused(400, {"error": f"unknown field {extra[0]}"})

    def next_ids(self, body: dict[str, Any]) -> list[int]:
        ids = self.tokenizer.encode(self.continuation(body))
        biases = {int(one): bias for one, bias in body.get("logit_bias", {}).items()}
        allowed = body.get("allowed_token_ids") or [one for one, bias in biases.items() if bias > 0]
        next_id = ids[0] if ids else self.tokenizer.special_ids["<|endofmask|>"]
        if biases.get(next_id, 0) < 0:
            return self.tokenizer.encode(self.otherwise)[: body["max_tokens"]]
        if allowed and self.kind == "vllm":
            text = self.continuation(body).encode()
            fitting = [one for one in allowed if text.startswith(self.tokenizer.token_bytes(one))]
            ids = [max(fitting or allowed, key=lambda one: len(self.tokenizer.token_bytes(one))), *ids[1:]]
        return ids[: body["max_tokens"]]

    def logprobs(self, body: dict[str, Any], ids: list[int], logprob: float) -> dict[str, Any] | None:
        if "logprobs" not in body or self.kind == "text":
            return None
        by_id = body.get("return_tokens_as_token_ids") and self.kind == "vllm"
        names = [f"token_id:{one}" if by_id else self.tokenizer.decode([one]) for one in ids]
        return {
            "tokens": names,
            "token_logprobs": [logprob] * len(ids),
            "top_logprobs": [{name: logprob} for name in names],
            "text_offset": [0] * len(ids),
        }

    def answered(self, body: dict[str, Any]) -> dict[str, Any]:
        self.check(body)
        ids = self.next_ids(body)
        is_all = len(ids) < body["max_tokens"]
        text, logprobs = self.tokenizer.decode(ids), self.logprobs(body, ids, -0.5)
        if body.get("echo"):
            if self.kind != "vllm":
                raise Refused(400, {"error": {"message": "no echo"}})
            given = (
                body["prompt"] if isinstance(body["prompt"], list) else self.tokenizer.encode(body["prompt"])
            )
            text, logprobs = self.prompt(body) + text, self.logprobs(body, [*given, *ids], -2.0)
            if logprobs:
                logprobs["token_logprobs"][0] = None
                logprobs["top_logprobs"][0] = None
        reason = self.finish_reason if is_all else "length"
        return {"choices": [{"text": text, "index": 0, "logprobs": logprobs, "finish_reason": reason}]}

    def streamed(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.check(body)
        ids = self.next_ids(body)
        is_all = len(ids) < body["max_tokens"]
        for one in ids:
            text = self.tokenizer.decode([one])
            yield {
                "choices": [
                    {"text": text, "logprobs": self.logprobs(body, [one], -0.5), "finish_reason": None}
                ]
            }
        yield {"choices": [{"text": "", "finish_reason": self.finish_reason if is_all else "length"}]}
        if self.kind == "vllm" and "stream_options" in body:
            prompt = body["prompt"]
            usage = {"prompt_tokens": len(prompt), "completion_tokens": len(ids)}
            yield {"choices": [], "usage": usage | {"prompt_tokens_details": {"cached_tokens": 3}}}


@contextmanager
def running(server: FakeServer) -> Iterator[FakeServer]:
    """Serve on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.answer({})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            server.bodies.append(body)
            self.answer(body)

        def answer(self, body: dict[str, Any]) -> None:
            has_key = server.key is None or self.headers.get("authorization") == f"Bearer {server.key}"
            try:
                refusal = server.before(self.path, body)
                if refusal is not None:
                    self.send(*refusal)
                elif not has_key:
                    self.send(401, {"error": "Unauthorized"})
                elif self.path == "/v1/models":
                    length = {} if server.max_model_len is None else {"max_model_len": server.max_model_len}
                    self.send(200, {"data": [{"id": name, **length} for name in server.models]})
                elif self.path != "/v1/completions":
                    self.send(404, {"detail": "Not Found"})
                elif body.get("stream"):
                    self.stream(server.streamed(body))
                else:
                    self.send(200, server.answered(body))
            except Refused as refused:
                self.send(refused.status, refused.body)
            except (ConnectionError, BrokenPipeError):
                self.close_connection = True

        def send(self, status: int, body: Any) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def stream(self, chunks: Iterator[dict[str, Any]]) -> None:
            first = next(chunks)
            self.send_response(200)
            self.send_header("content-type", "text/event-stream; charset=utf-8")
            self.send_header("connection", "close")
            self.end_headers()
            server.num_open += 1
            try:
                for number, chunk in enumerate([first, *chunks]):
                    server.on_chunk(number)
                    server.num_chunks += 1
                    self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
                self.wfile.write(b"data: [DONE]\n\n")
            finally:
                server.num_open -= 1
                self.close_connection = True

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def serve(stack: ExitStack) -> Callable[..., FakeServer]:
    """Starts a server of mini's vocabulary with these settings."""
    tokenizer = read_tokenizer(EMBEDDED / "mini")
    return lambda **settings: stack.enter_context(running(FakeServer(tokenizer, **settings)))


@pytest.fixture
def load(stack: ExitStack) -> Callable[..., UpstreamModel]:
    """Loads the model of these servers."""

    def make(*servers: FakeServer, **options: Any) -> UpstreamModel:
        urls = [server.url for server in servers]
        options.setdefault("model", servers[0].models[0])
        return stack.enter_context(incoder.load(urls if len(urls) > 1 else urls[0], **options))

    return make
