"""One HTTP exchange as a dialect's handler sees it: the body, the models, and the way to answer a call."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from incoder.server.bodies import read_body
from incoder.server.call import Call
from incoder.server.fields import Fields
from incoder.server.request_error import JSON
from incoder.server.route import Route

if TYPE_CHECKING:
    from incoder.server.server import Server

T = TypeVar("T")


class Exchange:
    """`id` is the request's id, `user` the salted name of its key, `peer` the client's address."""

    def __init__(self, request: Request, route: Route, server: "Server") -> None:
        self.request = request
        self.route = route
        self.server = server
        self.id = secrets.token_hex(12)
        self.started = time.monotonic()
        self.user: str = request.scope.get("incoder.user", "")
        self.peer: str = request.client.host if request.client else ""
        self._fields: Fields | None = None

    async def fields(self) -> Fields:
        """Return the fields of the body, a JSON object with any content type.

        Raises:
            FieldError: it is no JSON object.
            RequestError: it is too large, or does not arrive in time.
        """
        if self._fields is None:
            settings = self.server.settings
            data = await read_body(self.request, settings.max_body_bytes, settings.body_seconds)
            self._fields = Fields.parse(data)
        return self._fields

    async def generate(self, call: Call) -> Response:
        """Run the call's requests, and answer with its `write`, or with a stream by its `stream`.

        The requests end when the client leaves, also before the first token.

        Raises:
            RequestError: no such model, a full queue, or a request that the model cannot answer.
        """
        from incoder.server.generating import generate

        return await generate(self, call)

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Run a function that takes a while beside the event loop."""
        return await asyncio.to_thread(function)

    def answer(self, value: JSON, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        """Return a response of compact JSON, as llama.vim needs it."""
        return json_response(value, status=status, headers=headers)


def json_response(value: JSON, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a response of compact JSON. Numbers that JSON lacks (NaN) are a bug of ours."""
    return Response(compact(value), status, headers, media_type="application/json")


def compact(value: JSON) -> bytes:
    """Return compact JSON in UTF-8; lone surrogates are escaped.

    >>> compact({"content": "é"})
    b'{"content":"\\xc3\\xa9"}'
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
