"""An event loop in a thread of its own: calls from any thread, or from another loop, can use asyncio."""

import asyncio
import os
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from incoder.errors import IncoderError

T = TypeVar("T")


class EventLoop:
    """Runs coroutines in a background thread, which begins with the first one and ends with `close`.

    >>> async def one() -> int:
    ...     return 1
    >>> loop = EventLoop()
    >>> loop.submit(one()).result()
    1
    >>> loop.close()
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=_serve, args=(self._loop,), name="incoder-upstream", daemon=True
        )
        self._process = os.getpid()
        self._thread.start()
        self._finalizer = weakref.finalize(self, _stop, self._loop, self._thread)

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin a coroutine; cancelling the future cancels it.

        Raises:
            IncoderError: the loop is closed, or this process was forked from the loop's process.
        """
        if os.getpid() != self._process:
            work.close()
            raise IncoderError(
                "this process was forked from one that uses an upstream; load the model again here"
            )
        if not self._finalizer.alive:
            work.close()
            raise IncoderError("the model is closed; load it again")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end. If waiting is interrupted (Ctrl-C), it is cancelled.

        Raises:
            IncoderError: it is called in the loop's own thread, which would wait for itself.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise IncoderError(
                "a callback cannot wait for another request; call the model after the first one"
            )
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    @property
    def is_open(self) -> bool:
        """Whether coroutines can begin here."""
        return self._finalizer.alive and os.getpid() == self._process

    def close(self) -> None:
        """Cancel what still runs, and end the thread."""
        self._finalizer()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    if not thread.is_alive():  # in a forked process
        return
    if threading.current_thread() is thread:  # the last reference was dropped there
        loop.call_soon(loop.stop)
        return
    asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
