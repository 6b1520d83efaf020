"""A route: a method, a path, its handler, and the shape of its errors. A dialect is a tuple of routes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from starlette.responses import Response

from incoder.server.request_error import ErrorShape, openai_error

if TYPE_CHECKING:
    from incoder.server.exchange import Exchange

Handler = Callable[["Exchange"], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`dialect` names it in metrics. `body` and `answer` are JSON schemas for /openapi.json.

    A handler is for example:

        async def infill(exchange: Exchange) -> Response:
            return await exchange.generate(read(await exchange.fields()))

    It may raise RequestError (or IncoderError, which is a 400) until its response has begun.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    dialect: str
    summary: str
    error: ErrorShape = openai_error
    body: Mapping[str, Any] | None = None
    answer: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    streams: Literal["text/event-stream", "application/x-ndjson"] | None = None
    is_public: bool = False  # needs no key: /health, and the playground's files
    is_listed: bool = True  # in /openapi.json


def chosen_by_field(name: str, if_present: Handler, otherwise: Handler) -> Handler:
    """Return a handler for a path that two dialects share: a field of the body decides."""

    async def choose(exchange: "Exchange") -> Response:
        chosen = if_present if name in await exchange.fields() else otherwise
        return await chosen(exchange)

    return choose
