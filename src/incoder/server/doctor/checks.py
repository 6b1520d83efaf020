"""Sends a running server each client's request, and says in plain words what is wrong.

Takes a URL, a key and the names of clients, and returns findings. Reads no environment.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from incoder.errors import IncoderError, shown
from incoder.extras import missing_extra
from incoder.server.doctor.clients import Client, settings_text

if TYPE_CHECKING:
    import httpx2

_SECONDS = 30.0  # of one answer: the first one may compile
_MAX_BYTES = 4_000_000
_USAGE = {"prompt_tokens", "completion_tokens", "total_tokens"}  # Zed reads no answer without them
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True, slots=True)
class ServerFindings:
    """The server at `base`: the models it serves, and what is wrong with it, if anything."""

    base: str
    models: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ClientFindings:
    """One client: its settings, and what is wrong; `answer` is the text that it would show."""

    client: Client
    settings: str
    problem: str | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The findings on a server and its clients."""

    server: ServerFindings
    clients: tuple[ClientFindings, ...] = field(default=())

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong."""
        return self.server.problem is None and all(one.problem is None for one in self.clients)


def base_of(url: str) -> str:
    """Return the server's part of a URL, without its path.

    Raises:
        IncoderError: it is no URL.

    >>> base_of("http://127.0.0.1:8012/v1/completions")
    'http://127.0.0.1:8012'
    """
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or not url.isprintable() or " " in url:
        raise IncoderError(f"the server's URL must be like http://127.0.0.1:8012, got {shown(url)}")
    return f"{parts.scheme}://{parts.netloc}"


def url_problem(client: Client, url: str) -> str | None:
    """Return what is wrong with the URL in a client's settings; None if its path is right or it has none.

    >>> from incoder.server.doctor.clients import find_client
    >>> url_problem(find_client("cellsense"), "http://127.0.0.1:8012/v1")
    'the URL in its settings must be http://127.0.0.1:8012, not http://127.0.0.1:8012/v1'
    """
    base, path = base_of(url), urlsplit(url).path
    if path in ("", "/") or path.rstrip("/") == client.url_path.rstrip("/"):
        return None
    return f"the URL in its settings must be {base}{client.url_path}, not {url}"


def proxy_note(base: str, environment: Mapping[str, str]) -> str | None:
    """Return a warning if clients that follow the environment's proxy do not reach the server.

    >>> proxy_note("http://127.0.0.1:8012", {"HTTP_PROXY": "http://proxy:3128"})
    'HTTP_PROXY is set: clients that follow it ask the proxy for 127.0.0.1; add it to NO_PROXY'
    """
    host = urlsplit(base).hostname or ""
    values = {name.lower(): (name, value) for name, value in environment.items() if value}
    no_proxy = [one.strip().lower() for one in values.get("no_proxy", ("", ""))[1].split(",")]
    is_named = any(one and (host == one or host.endswith(f".{one.lstrip('.')}")) for one in no_proxy)
    if "*" in no_proxy or is_named:
        return None
    names = [values[name][0] for name in _PROXIES if name in values]
    if not names:
        return None
    return f"{names[0]} is set: clients that follow it ask the proxy for {host}; add it to NO_PROXY"


class Doctor:
    """Asks the server at `base`, with a key if it is given."""

    def __init__(self, base: str, api_key: str | None = None, seconds: float = _SECONDS) -> None:
        try:
            import httpx2
        except ImportError as error:
            raise missing_extra("testing a server needs httpx2", "server") from error
        self._base = base
        self._has_key = api_key is not None
        headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        timeout = httpx2.Timeout(seconds, connect=5.0)
        self._http = httpx2.Client(headers=headers, timeout=timeout, trust_env=False)

    def __enter__(self) -> "Doctor":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def examine(
        self,
        clients: Sequence[Client],
        url: str | None = None,
        on_client: Callable[[str], None] = lambda _: None,
    ) -> Report:
        """Ask the server as each client would, unless something is wrong with the server itself.

        `url` is the one in the settings of a single client, to be checked as well.
        """
        server = self.server()
        model = server.models[0] if server.models else "mini"
        found = []
        for client in clients:
            wrong = None if url is None else url_problem(client, url)
            if server.problem is not None:
                found.append(ClientFindings(client, settings_text(client, self._base, model), wrong))
                continue
            on_client(client.title)
            asked = self.client(client, model)
            found.append(asked if wrong is None else replace(asked, problem=wrong))
        return Report(server, tuple(found))

    def server(self) -> ServerFindings:
        """Return the models that the server has, or what is wrong with it."""
        found, problem = self._ask("GET", "/health", None)
        if found is None:
            return ServerFindings(self._base, problem=problem)
        if found.status_code == 503 and "oading" in found.text:
            problem = "the server is still loading its model; ask again in a while"
            return ServerFindings(self._base, problem=problem)
        listed, problem = self._ask("GET", "/v1/models", None)
        if listed is None:
            return ServerFindings(self._base, problem=problem)
        if listed.status_code in (401, 403):
            return ServerFindings(self._base, problem=self._refused(listed))
        try:
            served = listed.json()["data"]
            models = tuple(str(one["id"]) for one in served)
            is_ours = any(one.get("owned_by") == "incoder" for one in served)
        except (ValueError, KeyError, TypeError, AttributeError):
            models, is_ours = (), False
        if listed.status_code != 200 or not is_ours:
            problem = f"{self._kind(listed)} listens at {self._base}, not incoder serve"
            return ServerFindings(self._base, models, problem)
        return ServerFindings(self._base, models)

    def client(self, client: Client, model: str) -> ClientFindings:
        """Return what is wrong for one client, by the request that it sends."""
        settings = settings_text(client, self._base, model)
        body = {**client.body, **({"model": model} if client.body.get("model") == "{model}" else {})}
        response, problem = self._ask("POST", client.path, body)
        if response is None:
            return ClientFindings(client, settings, problem)
        if response.status_code != 200:
            return ClientFindings(client, settings, self._refused(response, client))
        try:
            text = _answer(client, response.text)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return ClientFindings(client, settings, f"{client.path} answered what {client.title} cannot read")
        return ClientFindings(client, settings, answer=text)

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> "tuple[httpx2.Response | None, str | None]":
        """Return the answer, or what is wrong."""
        import httpx2

        try:
            content = None if body is None else json.dumps(body).encode()
            headers = {} if body is None else {"content-type": "application/json"}
            with self._http.stream(method, self._base + path, content=content, headers=headers) as response:
                data = b""
                for piece in response.iter_bytes():
                    data += piece
                    if len(data) > _MAX_BYTES:
                        return None, f"{self._base} answers without end; something else listens there"
            return httpx2.Response(response.status_code, headers=response.headers, content=data), None
        except httpx2.ConnectTimeout:
            return None, f"{self._base} cannot be reached; is the address right, and no firewall between?"
        except httpx2.TimeoutException:
            return None, f"{self._base} does not answer in time, though something listens there"
        except httpx2.ConnectError:
            port = urlsplit(self._base).port
            start = f"incoder serve --port {port}" if port else "incoder serve"
            return None, f"nothing listens at {self._base}; start the server with: {start}"
        except httpx2.HTTPError:
            return None, f"something else listens at {self._base}: it does not speak HTTP"

    def _refused(self, response: "httpx2.Response", client: Client | None = None) -> str:
        status, said = response.status_code, _message(response)
        if status == 401:
            if self._has_key:
                return "the server does not accept this API key"
            how = client.key if client is not None else ""
            remedy = f"; {client.title} takes it as {how}" if client is not None and how else ""
            return f"the server wants an API key (--api-key-file){remedy}"
        if status == 404 and client is not None:
            return f"{client.path} is not served here ({said})"
        return f"the server refuses it with status {status}: {said}"

    def _kind(self, response: "httpx2.Response") -> str:
        """Return the name of another program that is known by its own routes."""
        for path, mark, name in (
            ("/api/version", "version", "Ollama"),
            ("/props", "default_generation_settings", "llama.cpp's server"),
            ("/version", "version", "vLLM"),
            ("/v1/health", "git_describe", "Tabby"),
        ):
            found, _ = self._ask("GET", path, None)
            if found is not None and found.status_code == 200 and mark in found.text:
                return name
        return "another server of models" if response.status_code == 200 else "another program"


def _answer(client: Client, text: str) -> str:
    """Return the text that the client would show.

    Raises:
        ValueError, KeyError, IndexError, TypeError: the client cannot read the answer.
    """
    if client.streams:
        lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
        objects = [json.loads(line) for line in lines if line != "[DONE]"]
        if not objects:
            raise ValueError
    else:
        objects = [json.loads(text)]
    return "".join(_piece(client, one) for one in objects)


def _piece(client: Client, one: Any) -> str:
    if client.answer == "content":
        if client.name == "llama.vim" and '"content":"' not in json.dumps(one, separators=(",", ":")):
            raise ValueError
        return str((one[0] if isinstance(one, list) else one)["content"])
    if client.answer == "response":
        return str(one["response"])
    if not one["choices"]:
        return ""
    choice = one["choices"][0]
    if client.name == "zed" and not one["usage"].keys() >= _USAGE:
        raise ValueError
    if client.answer == "message":
        return str((choice.get("delta") or choice.get("message") or {}).get("content") or "")
    return str(choice["text"])


def _message(response: "httpx2.Response") -> str:
    try:
        body = response.json()
        error = body.get("error", body.get("detail", body))
        said = error.get("message", error) if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        said = response.text
    return "".join(one if one.isprintable() else " " for one in str(said))[:300]
