"""A thread that owns an engine and accepts requests from any thread and from asyncio."""

import asyncio
import threading
import weakref
from concurrent.futures import Future
from types import TracebackType
from typing import TypeVar

from incoder.errors import IncoderError
from incoder.inference.engine.engine import Engine
from incoder.inference.engine.forking import check_process
from incoder.inference.language_model import Generation, LanguageModel, run_alone

T = TypeVar("T")


class EngineWorker:
    """Runs the requests of one model in a thread of its own, with an `Engine` of `max_active` requests.

    Thread safety: every method may be called from every thread. Coroutines and their callbacks (streamed
    text) run in the worker's thread, one at a time and between two steps, so a slow callback delays all
    requests. An error of one request, or of its callbacks, is raised by its own future only.

    Close the worker, or use it in a `with` block. If it is garbage collected, or still open at the end of the
    process, it cancels the requests that are left.

    Raises:
        IncoderError: a model that an Engine cannot run, or a process that was forked from one that computes.

    >>> from incoder import InfillRequest
    >>> with EngineWorker(model.language_model) as worker:
    ...     request = InfillRequest.from_settings("x = <FILL>\\n", max_new_tokens=4)
    ...     future = worker.submit(model.generation(request))
    >>> len(future.result().infills)
    1
    """

    def __init__(self, model: LanguageModel, max_active: int | None = None) -> None:
        check_process()
        self._control = _Control(Engine(model, max_active))
        self._thread = threading.Thread(
            target=_serve, args=(self._control,), name="incoder-engine", daemon=True
        )
        self._thread.start()
        self._finalizer = weakref.finalize(self, _shut_down, self._control, self._thread)

    @property
    def is_alive(self) -> bool:
        """Whether the worker accepts requests: it is not closed, and its thread runs."""
        return self._control.is_open and self._thread.is_alive()

    def submit(self, generation: Generation[T]) -> Future[T]:
        """Queue a generation coroutine; the future has its result or its error.

        `cancel()` of the future ends the coroutine between two steps, also during prefill.

        Raises:
            IncoderError: the worker is closed, or this process was forked from the worker's process.
        """
        check_process()
        return self._control.submit(generation)

    def run(self, generation: Generation[T]) -> T:
        """Run a coroutine to its end beside the others, and return its result or raise its error.

        If waiting is interrupted (Ctrl-C), the request is cancelled. If it is called in a callback, and so in
        the worker's own thread, it runs the coroutine at once and alone.
        """
        if threading.current_thread() is self._thread:
            return run_alone(generation)
        future = self.submit(generation)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def generate(self, generation: Generation[T]) -> T:
        """`run` for asyncio: does not block the event loop. Cancelling the task cancels the request."""
        return await asyncio.wrap_future(self.submit(generation))

    def close(self, *, cancel: bool = False) -> None:
        """Accept no more requests, finish the submitted ones (or cancel them), and end the thread.

        May be called twice. Called from a callback, it returns before the thread has ended.
        """
        self._control.close(cancel=cancel)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> "EngineWorker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close(cancel=kind is not None)


class _Control:
    """The state that a worker and its thread share, so that the thread does not keep the worker alive."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._changed = threading.Condition()
        self._is_closed = False
        self._cancels = False

    @property
    def is_open(self) -> bool:
        return not self._is_closed

    def submit(self, generation: Generation[T]) -> Future[T]:
        with self._changed:
            if self._is_closed:
                raise IncoderError("the EngineWorker is closed; make a new one to run more requests")
            future = self.engine.submit(generation)
            self._changed.notify()
        return future

    def close(self, *, cancel: bool) -> None:
        with self._changed:
            self._is_closed = True
            self._cancels |= cancel
            self._changed.notify()

    def die(self, error: BaseException) -> None:
        """Accept no more requests, and end those that are left with this error."""
        with self._changed:
            self._is_closed = True
        self.engine.fail_all(error)

    def wait_for_work(self) -> bool:
        """Sleep until a step has work to do; return False if the thread must end."""
        with self._changed:
            while not self.engine.has_work and not self._is_closed:
                self._changed.wait()
            return self.engine.has_work and not self._cancels


def _serve(control: _Control) -> None:
    """Run the worker's thread."""
    try:
        while control.wait_for_work():
            try:
                control.engine.step()
            except Exception as error:  # noqa: BLE001 - an error of the engine itself: no request can go on
                control.engine.fail_all(error)
            except BaseException:  # noqa: BLE001 - raised in a callback; its request has failed with it
                pass
        control.engine.cancel_all()
    except BaseException as error:  # noqa: BLE001 - the thread ends: nobody may wait for it
        control.die(error)


def _shut_down(control: _Control, thread: threading.Thread) -> None:
    control.close(cancel=True)
    if threading.current_thread() is not thread:
        thread.join()
