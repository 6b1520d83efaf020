"""The guard before all routes, in pure ASGI: it lets a request pass, or answers it itself.

Decides on `scope["path"]` and raw headers only: `request.url` is rebuilt from the Host header, which the
client chooses (CVE-2026-48710).
"""

import hashlib
import hmac
from collections.abc import Collection, Mapping

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from incoder.server.exchange import json_response
from incoder.server.request_error import ErrorShape, RequestError, openai_error
from incoder.server.security.headers import header_values
from incoder.server.security.hosts import is_allowed_host
from incoder.server.security.origins import allowed_origin
from incoder.server.settings import ServerSettings


class Guard:
    """Checks the host, the web page and the key of each request; `public` paths need no key."""

    def __init__(
        self,
        app: ASGIApp,
        settings: ServerSettings,
        public: Collection[str],
        shapes: Mapping[str, ErrorShape],
    ) -> None:
        self._app = app
        self._settings = settings
        self._public = public
        self._shapes = shapes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a websocket: there are none here
            await send({"type": "websocket.close", "code": 1008})
            return
        allowed: dict[str, str] = {}
        try:
            self._check_host(scope)
            allowed = allowed_origin(scope, self._settings.origins)
            if allowed and scope["method"] == "OPTIONS":  # a browser asks before it sends the request
                await Response(status_code=204, headers=allowed)(scope, receive, send)
                return
            self._check_key(scope)
        except RequestError as error:
            shape = self._shapes.get(scope["path"], openai_error)
            headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
            response = json_response(shape(error), status=error.status, headers={**headers, **allowed})
            await response(scope, receive, send)
            return
        await self._app(scope, receive, _with_headers(send, {**allowed, "x-content-type-options": "nosniff"}))

    def _check_host(self, scope: Scope) -> None:
        hosts = header_values(scope, b"host")
        if len(hosts) != 1 or not is_allowed_host(hosts[0], self._settings):
            raise RequestError(
                403, "this server does not answer to that host name; allow it with --allow-host", "host_error"
            )

    def _check_key(self, scope: Scope) -> None:
        """Let a request with a known key pass; note whose it is, for the cache."""
        settings = self._settings
        if not settings.keys:
            return
        given = _given_key(scope)
        matching = [key for key in settings.keys if hmac.compare_digest(key.encode(), given)]
        if matching:
            name = hmac.new(settings.salt_secret, matching[0].encode(), hashlib.sha256)
            scope["incoder.user"] = name.hexdigest()
        elif scope["path"] not in self._public:
            raise RequestError(
                401, "a valid API key is needed, as Authorization: Bearer KEY", "authentication_error"
            )


def _with_headers(send: Send, headers: Mapping[str, str]) -> Send:
    """Return a `send` that adds these headers to the response."""
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *encoded]
        await send(message)

    return send_with_headers


def _given_key(scope: Scope) -> bytes:
    for value in header_values(scope, b"authorization"):
        scheme, _, key = value.partition(b" ")
        if scheme.lower() == b"bearer":
            return key.strip()
    return next(iter(header_values(scope, b"x-api-key")), b"")
