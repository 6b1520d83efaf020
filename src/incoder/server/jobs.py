"""Jobs: calls while they run, admitted in order, cancelled in time, answered once.

A job waits in a bounded queue, uses its model (which may have to be loaded), and does its work there.
Whatever ends it early (its client leaves, a newer request for its slot, the time limit, the end of the
server) cancels its task, and with it its requests, also before the first token.
"""

import asyncio
import functools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from starlette.requests import Request

from incoder.server.models.served_model import LoadedModel
from incoder.server.request_error import CLIENT_GONE, RequestError, as_request_error

if TYPE_CHECKING:
    from incoder.server.models.served_models import ServedModels
    from incoder.server.settings import ServerSettings

T = TypeVar("T")

GRACE = 2.0  # seconds after the time limit in which a request returns what it has written by then


class Job(Generic[T]):
    """Work with a model, as a task that `cancel` ends. Used in the event loop's thread only."""

    def __init__(self) -> None:
        self.error: RequestError | None = None
        self._task: asyncio.Task[T] | None = None

    def start(self, work: Coroutine[Any, Any, T]) -> None:
        """Start the task."""
        self._task = asyncio.create_task(work)

    def when_done(self, function: Callable[[], None]) -> None:
        """Call this function when the task has ended, for whatever reason."""
        assert self._task is not None
        self._task.add_done_callback(lambda _: function())

    @property
    def is_done(self) -> bool:
        return self._task is not None and self._task.done()

    def cancel(self, error: RequestError) -> None:
        """End the job early; its result is this error. Only the first call counts."""
        if self._task is not None and not self._task.done():
            self.error = self.error or error
            self._task.cancel()

    async def result(self) -> T:
        """Wait for the result.

        Raises:
            RequestError: the job was cancelled or has failed.
        """
        assert self._task is not None
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            if self.error is not None:
                raise self.error from None
            # Not the job but this coroutine was cancelled, as a framework may do when a client leaves.
            self.cancel(RequestError(CLIENT_GONE, "the client left"))
            raise
        except Exception as error:
            raise as_request_error(error) from error


class Jobs:
    """All jobs of a server: at most `max_concurrent` run, `max_queue` wait, and others get a 429."""

    def __init__(self, settings: "ServerSettings", models: "ServedModels") -> None:
        self._settings = settings
        self._models = models
        self._places = asyncio.Semaphore(settings.max_concurrent)
        self._jobs: set[Job[Any]] = set()
        self._in_slots: dict[Hashable, dict[Job[Any], Hashable]] = defaultdict(dict)
        self._num_running = 0
        self._is_closed = False

    @property
    def num_running(self) -> int:
        return self._num_running

    @property
    def num_waiting(self) -> int:
        """The number of jobs in the queue."""
        return len(self._jobs) - self._num_running

    def start(
        self,
        model: str,
        work: Callable[[LoadedModel], Awaitable[T]],
        *,
        slot: Hashable = None,
        question: object = None,
    ) -> Job[T]:
        """Admit a job that does this work with the model of this name.

        With a `slot`, it cancels the jobs there that have another `question`.

        Raises:
            RequestError: the queue is full, or the server is shutting down.
        """
        if self._is_closed:
            raise RequestError(503, "the server is shutting down", "unavailable_error", retry_after=5)
        if slot is not None:
            for older, asked in list(self._in_slots.get(slot, {}).items()):
                if asked != question:
                    older.cancel(RequestError(409, "a newer request for the same slot replaced this one"))
        if len(self._jobs) >= self._settings.max_concurrent + self._settings.max_queue:
            raise RequestError(
                429,
                f"{self.num_running} requests run and {self.num_waiting} wait, the most that this server "
                "accepts; try again, or start it with a greater --max-queue",
                "rate_limit_error",
                retry_after=1,
            )
        job: Job[T] = Job()
        limit = self._settings.time_limit
        late = RequestError(504, f"the request took longer than {limit:g} seconds (--time-limit)", "timeout")
        timeout = asyncio.get_running_loop().call_later(limit + GRACE, job.cancel, late)
        self._jobs.add(job)
        if slot is not None:
            self._in_slots[slot][job] = question
        job.start(self._run(model, work))
        job.when_done(functools.partial(self._end, job, slot, timeout))
        return job

    async def close(self, seconds: float) -> None:
        """Accept no more jobs; cancel those that have not ended in this time."""
        self._is_closed = True
        end = asyncio.get_running_loop().time() + seconds
        while self._jobs and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)
        for job in list(self._jobs):
            job.cancel(RequestError(503, "the server is shutting down", "unavailable_error", retry_after=5))
        while self._jobs:
            await asyncio.sleep(0)

    async def _run(self, model: str, work: Callable[[LoadedModel], Awaitable[T]]) -> T:
        async with self._places:
            self._num_running += 1
            try:
                async with self._models.use(model) as loaded:
                    return await work(loaded)
            finally:
                self._num_running -= 1

    def _end(self, job: Job[Any], slot: Hashable, timeout: asyncio.TimerHandle) -> None:
        timeout.cancel()
        self._jobs.discard(job)
        if slot is not None:
            self._in_slots[slot].pop(job, None)
            if not self._in_slots[slot]:
                del self._in_slots[slot]


async def watch_client(request: Request, job: Job[Any]) -> None:
    """Cancel the job when the client leaves. The request's body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    job.cancel(RequestError(CLIENT_GONE, "the client left"))
