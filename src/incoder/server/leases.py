"""Leases: streams that language servers keep open while they need the server."""

import asyncio
from collections.abc import Callable


class Leases:
    """Counts the clients that need this server, and calls `on_unused` when the last one has left.

    That happens `seconds` after the last lease ends or, without any lease, `first_seconds` after the start.
    Without `on_unused`, leases only tell clients that the server is there. Used in the event loop's thread.
    """

    def __init__(
        self,
        on_unused: Callable[[], None] | None = None,
        *,
        seconds: float = 2.0,
        first_seconds: float = 60.0,
    ) -> None:
        self._on_unused = on_unused
        self._seconds = seconds
        self._first_seconds = first_seconds
        self._num_held = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = asyncio.Event()

    @property
    def ends_with_clients(self) -> bool:
        return self._on_unused is not None

    def start(self) -> None:
        """Wait for the first client."""
        self._wait(self._first_seconds)

    def close(self) -> None:
        """End all leases, so that the server can end."""
        self._closed.set()

    async def hold(self, client_left: Callable[[], "asyncio.Task[None]"]) -> None:
        """Hold a lease until its client has left, or the server ends."""
        self._num_held += 1
        if self._timer is not None:
            self._timer.cancel()
        left = client_left()
        closing = asyncio.create_task(self._wait_for_end())
        try:
            await asyncio.wait({left, closing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.cancel()
            closing.cancel()
            self._num_held -= 1
            if self._num_held == 0:
                self._wait(self._seconds)

    async def _wait_for_end(self) -> None:
        await self._closed.wait()

    def _wait(self, seconds: float) -> None:
        if self._on_unused is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._on_unused)
