"""Streamed responses: server-sent events, or a line of JSON each. jobs.py watches for clients that leave."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from incoder.server.call import Call
from incoder.server.exchange import compact
from incoder.server.request_error import JSON, RequestError

_MEDIA_TYPES = {
    "sse": "text/event-stream",
    "sse-done": "text/event-stream",
    "ndjson": "application/x-ndjson",
}


class StreamedResponse(Response):
    """A response of events: `first`, which exist already, then the others as they arrive.

    An error after the first event is written as the dialect's error event, and ends the stream.
    """

    def __init__(
        self, first: Sequence[JSON], events: AsyncIterator[JSON], call: Call, *, on_end: Callable[[], object]
    ) -> None:
        assert call.stream is not None
        self._first = first
        self._events = events
        self._writer = call.stream
        self._is_lines = call.framing == "ndjson"
        self._end = b"data: [DONE]\n\n" if call.framing == "sse-done" else b""
        self._on_end = on_end
        self.status_code = 200
        self.background = None
        self.media_type = _MEDIA_TYPES[call.framing]
        headers: Mapping[str, str] = {"cache-control": "no-cache", "x-accel-buffering": "no", **call.headers}
        self.init_headers(headers)

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            for value in self._first:
                await self._send(send, value)
            try:
                async for value in self._events:
                    await self._send(send, value)
            except RequestError as error:
                await self._send(send, self._writer.error(error))
            await send({"type": "http.response.body", "body": self._end, "more_body": False})
        finally:
            self._on_end()

    async def _send(self, send: Send, value: JSON) -> None:
        data = compact(value)
        body = data + b"\n" if self._is_lines else b"data: " + data + b"\n\n"
        await send({"type": "http.response.body", "body": body, "more_body": True})
