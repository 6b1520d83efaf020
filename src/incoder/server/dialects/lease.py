"""GET /v1/lease: a stream that a language server keeps open for as long as it needs this server.

Its only line of JSON has the process and whether that ends with its last client
(`--end-with-clients`). The connection's end shows each side that the other one is gone.
"""

import asyncio
import os

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from incoder.server.exchange import Exchange, compact
from incoder.server.leases import Leases
from incoder.server.route import Route


async def lease(exchange: Exchange) -> Response:
    """Answer GET /v1/lease."""
    return _LeaseResponse(exchange.server.leases)


class _LeaseResponse(Response):
    media_type = "application/x-ndjson"

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self.status_code = 200
        self.background = None
        self.init_headers({"cache-control": "no-cache"})

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        async def left() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        described = {"pid": os.getpid(), "ends_with_clients": self._leases.ends_with_clients}
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": compact(described) + b"\n", "more_body": True})
        await self._leases.hold(lambda: asyncio.create_task(left()))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


ROUTES = (
    Route(
        method="GET",
        path="/v1/lease",
        handler=lease,
        dialect="lease",
        summary="A stream that is open for as long as client and server need each other.",
        streams="application/x-ndjson",
        is_listed=False,  # it never ends, so nobody should try it from /docs
    ),
)
