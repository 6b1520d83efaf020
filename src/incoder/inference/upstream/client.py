"""Calls to one completions server: JSON in, JSON or a stream of JSON objects out, and errors in plain words.

Knows HTTP and the shapes of errors, not what a completion is. Reads no environment: proxies are not used.
Imports no torch.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from incoder.errors import IncoderError, shown
from incoder.extras import missing_extra

if TYPE_CHECKING:
    import httpx2

JSON = Mapping[str, Any]

_MAX_BYTES = 64_000_000  # of an answer: the log-probabilities of a long prompt
_MAX_LINE = 4_000_000  # of a streamed object
_MAX_SHOWN = 300  # characters of a server's message
_CONNECT_SECONDS = 5.0
_DONE = b"[DONE]"


class UpstreamError(IncoderError):
    """A call that failed; `is_temporary` if the server may answer later, or another one now.

    `status` is HTTP's, None if there was no answer.
    """

    def __init__(self, message: str, *, is_temporary: bool = False, status: int | None = None) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary
        self.status = status


def checked_url(url: str) -> str:
    """Return the base URL of a server, without a slash at its end.

    Raises:
        IncoderError: it is no http or https URL, or it holds a password.

    >>> checked_url("http://127.0.0.1:8000/v1/")
    'http://127.0.0.1:8000/v1'
    """
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or not url.isprintable() or " " in url:
        raise IncoderError(
            f"an upstream is given by its URL, such as http://127.0.0.1:8000/v1, got {shown(url)}"
        )
    if "@" in parts.netloc:
        raise IncoderError("the URL of an upstream must not hold a password; give the key in a file")
    if parts.query or parts.fragment:
        raise IncoderError(f"the URL of an upstream ends with its path, such as /v1, got {shown(url)}")
    path = parts.path.rstrip("/").removesuffix("/completions").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


class UpstreamClient:
    """Calls to the server at the base URL `url`. Used in one event loop.

    `seconds` limits the time to the first byte of an answer, and between two pieces of it.
    """

    def __init__(self, url: str, api_key: str | None = None, seconds: float = 60.0) -> None:
        try:
            import httpx2
        except ImportError as error:
            raise missing_extra("a model on another server needs httpx2", "server") from error
        self.url = checked_url(url)
        self._has_key = api_key is not None
        headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        self._http = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(seconds, connect=_CONNECT_SECONDS, pool=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=32),
            trust_env=False,
            follow_redirects=False,
        )

    async def get(self, path: str) -> JSON:
        """Return the object at a path, such as /models.

        Raises:
            UpstreamError: no answer, an error, or no JSON object.
        """
        async with self._answer("GET", path, None) as response:
            return await self._object(response)

    async def post(self, path: str, body: JSON) -> JSON:
        """Return the answer to a body.

        Raises:
            UpstreamError: as `get` says.
        """
        async with self._answer("POST", path, body) as response:
            return await self._object(response)

    async def stream(self, path: str, body: JSON) -> AsyncGenerator[JSON]:
        """Yield the objects of a stream as they arrive; closing the iterator closes the request.

        Raises:
            UpstreamError: as `get` says; an error in the stream, or a stream that ends before `[DONE]`.
        """
        async with self._answer("POST", path, body) as response:
            if "event-stream" not in response.headers.get("content-type", ""):
                raise self._malformed("it answered a stream with " + shown(_kind(response)))
            async for line in self._lines(response):
                if not line.startswith(b"data:"):
                    continue  # a comment, an event's name, or the empty line after an event
                data = line[5:].strip()
                if data == _DONE:
                    return
                one = self._parsed(data)
                if "error" in one:
                    raise UpstreamError(f"{self.url}: {_message(one)}")
                yield one
        raise UpstreamError(f"{self.url}: the answer was cut off before its end", is_temporary=True)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    @asynccontextmanager
    async def _answer(self, method: str, path: str, body: JSON | None) -> "AsyncIterator[httpx2.Response]":
        """Send a request; yield its answer if its status is 200, and close it at the end of the block."""
        import httpx2

        try:
            content = None if body is None else json.dumps(body, allow_nan=False).encode()
            headers = {} if body is None else {"content-type": "application/json"}
            async with self._http.stream(
                method, self.url + path, content=content, headers=headers
            ) as response:
                if response.status_code != 200:
                    raise self._refused(response, path, await self._read(response, _MAX_LINE))
                yield response
        except httpx2.TimeoutException as error:
            what = "no connection" if isinstance(error, httpx2.ConnectTimeout) else "no answer"
            raise UpstreamError(f"{self.url}: {what} in time", is_temporary=True) from error
        except httpx2.ConnectError as error:
            raise UpstreamError(
                f"{self.url}: cannot connect ({_reason(error)}); is it running, and is this its address?",
                is_temporary=True,
            ) from error
        except httpx2.HTTPError as error:
            raise UpstreamError(
                f"{self.url}: the connection broke ({_reason(error)})", is_temporary=True
            ) from error

    async def _object(self, response: "httpx2.Response") -> JSON:
        return self._parsed(await self._read(response, _MAX_BYTES))

    async def _read(self, response: "httpx2.Response", most: int) -> bytes:
        data = bytearray()
        async for piece in response.aiter_bytes():
            data += piece
            if len(data) > most:
                raise self._malformed(f"it answered with more than {most:,} bytes")
        return bytes(data)

    async def _lines(self, response: "httpx2.Response") -> AsyncIterator[bytes]:
        rest = b""
        async for piece in response.aiter_bytes():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line.rstrip(b"\r")
            if len(rest) > _MAX_LINE:
                raise self._malformed(f"it streamed a line of more than {_MAX_LINE:,} bytes")
        if rest:
            yield rest

    def _parsed(self, data: bytes) -> JSON:
        try:
            one = json.loads(data)
        except (ValueError, RecursionError):
            raise self._malformed(f"it answered {shown(data[:_MAX_SHOWN])}, which is not JSON") from None
        if not isinstance(one, dict):
            raise self._malformed(f"it answered {shown(one)}, which is not a JSON object")
        return one

    def _malformed(self, what: str) -> UpstreamError:
        return UpstreamError(f"{self.url} is not an OpenAI-compatible completions server: {what}")

    def _refused(self, response: "httpx2.Response", path: str, data: bytes) -> UpstreamError:
        """Return the error for a status other than 200."""
        status = response.status_code
        try:
            said = _message(json.loads(data))
        except (ValueError, RecursionError, AttributeError):
            said = data[:_MAX_SHOWN].decode("utf-8", "replace").strip() or response.reason_phrase
        said = "".join(one if one.isprintable() else " " for one in said)[:_MAX_SHOWN]
        if status in (401, 403):
            key = "does not accept the API key" if self._has_key else "wants an API key; give it in a file"
            return UpstreamError(f"{self.url} {key} (status {status}: {said})", status=status)
        if status in (301, 302, 303, 307, 308):
            where = shown(response.headers.get("location", "?"))
            return UpstreamError(f"{self.url} redirects to {where}; give that URL", status=status)
        if status == 404 and path == "/models":
            hint = "" if self.url.endswith("/v1") else f"; perhaps its API is at {self.url}/v1"
            return UpstreamError(f"{self.url} has no /models{hint} (status 404: {said})", status=status)
        is_temporary = status >= 500 or status in (408, 425, 429)
        return UpstreamError(
            f"{self.url}{path} answered with status {status}: {said}",
            is_temporary=is_temporary,
            status=status,
        )


def _message(body: Any) -> str:
    """Return the message of an error, in the forms of OpenAI, vLLM and FastAPI."""
    error = body.get("error", body)
    if isinstance(error, str):
        return error
    message = error.get("message", error.get("detail", error))
    return message if isinstance(message, str) else json.dumps(message)[:_MAX_SHOWN]


def _kind(response: "httpx2.Response") -> str:
    return str(response.headers.get("content-type", "no content type"))


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
