"""Answering a call: its requests run side by side, and their text goes to the client as it is written."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from starlette.responses import Response

from incoder.inference.prompts.line_endings import line_end, with_line_end
from incoder.request import InfillRequest
from incoder.results import InfillResult, OnText, TextPiece
from incoder.server.call import Answer, Call, StreamWriter
from incoder.server.dialects.markers import under_alias
from incoder.server.jobs import Job, watch_client
from incoder.server.limits import checked
from incoder.server.models.served_model import LoadedModel
from incoder.server.request_error import JSON, RequestError
from incoder.server.streams import StreamedResponse

if TYPE_CHECKING:
    from incoder.server.exchange import Exchange

T = TypeVar("T")

Event = tuple[int, TextPiece]

# Encode texts beside the event loop; more threads would only compete for the interpreter.
_SUBMITTING = ThreadPoolExecutor(4, "incoder-submit")


async def generate(exchange: "Exchange", call: Call) -> Response:
    """Answer a call, as `Exchange.generate` says."""
    server, call = exchange.server, under_alias(call)
    source = server.models.find(call.model, any_model=call.any_model)
    requests = [_complete(exchange, call, one) for one in checked(call.requests, server.settings)]
    generation = _Generation(exchange, call, source.facts.name, source.facts.context_length, requests)
    slot = None
    if call.slot is not None and not call.is_warm_up:
        slot = (exchange.user, exchange.peer, call.slot, source.facts.name)
    job = server.jobs.start(source.facts.name, generation.run, slot=slot, question=list(call.requests))
    watcher = asyncio.create_task(watch_client(exchange.request, job))
    if call.stream is not None:
        call.stream.start(generation.answer(()))
        events = generation.stream(job, call.stream)
        first: list[JSON] = []  # an error before it is an ordinary HTTP error
        try:
            first.append(await anext(events))
        except StopAsyncIteration:
            pass
        except BaseException:
            watcher.cancel()
            raise
        return StreamedResponse(first, events, call, on_end=watcher.cancel)
    try:
        answer = await job.result()
    finally:
        watcher.cancel()
    return exchange.answer(call.write(answer), headers=call.headers)


def _complete(exchange: "Exchange", call: Call, request: InfillRequest) -> InfillRequest:
    """Return the request with what the server decides: seed, cache salt, deadline, project."""
    settings, sampling = exchange.server.settings, request.sampling
    if not call.has_seed:
        sampling = replace(sampling, seed=secrets.randbelow(2**63))
    limit = exchange.started + settings.time_limit
    project = request.project
    if project is None and len(settings.projects) == 1 and len(request.parts) > 1:
        project = settings.projects[0]
    return replace(
        request,
        sampling=sampling,
        cache_salt=exchange.user + request.cache_salt,
        deadline=limit if request.deadline is None else min(limit, request.deadline),
        project=project,
    )


@dataclass(slots=True)
class _Generation:
    """The requests of one call while a model answers them."""

    exchange: "Exchange"
    call: Call
    model: str
    context_length: int
    requests: Sequence[InfillRequest]
    created: int = field(default_factory=lambda: int(time.time()))
    _events: "asyncio.Queue[Event | None]" = field(default_factory=asyncio.Queue)

    async def run(self, model: LoadedModel) -> Answer:
        """Answer the requests with this model.

        Raises:
            Exception: the first error of a request; the others are cancelled.
        """
        queued = time.monotonic() - self.exchange.started
        loop = asyncio.get_running_loop()
        futures = await _in_thread(lambda: self._submit(model, loop), _cancel)
        waiting = [asyncio.wrap_future(future) for future in futures]
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
            for one in done:
                if one.cancelled():
                    raise RequestError(503, "the model was unloaded; try again", "unavailable_error")
                if (error := one.exception()) is not None:
                    raise error if model.is_alive else _engine_died()
            answer = self.answer([one.result() for one in waiting], queued)
            self.exchange.server.metrics.observe(answer)
            return answer
        finally:
            for one in waiting:
                one.add_done_callback(_retrieve)
            _cancel(futures)

    def answer(self, results: Sequence[InfillResult], queued: float = 0.0) -> Answer:
        """Return an answer with these results."""
        return Answer(
            results=tuple(results),
            id=self.exchange.id,
            created=self.created,
            model=self.model,
            context_length=self.context_length,
            queued_seconds=queued,
            total_seconds=time.monotonic() - self.exchange.started,
        )

    async def stream(self, job: Job[Answer], writer: StreamWriter) -> AsyncIterator[JSON]:
        """Yield the events of a stream: text as it is written, then the end.

        Raises:
            RequestError: the job was cancelled or has failed.
        """
        job.when_done(lambda: self._events.put_nowait(None))
        while (event := await self._events.get()) is not None:
            index, piece = event
            end = line_end(self.requests[index].parts)
            for value in writer.piece(index, replace(piece, text=with_line_end(piece.text, end))):
                yield value
        for value in writer.end(await job.result()):
            yield value

    def _submit(self, model: LoadedModel, loop: asyncio.AbstractEventLoop) -> list[Future[InfillResult]]:
        """Submit all requests to the model, or none."""

        def on_text(index: int) -> OnText | None:
            if self.call.stream is None:
                return None

            def put(piece: TextPiece) -> None:
                loop.call_soon_threadsafe(self._events.put_nowait, (index, piece))

            return put

        futures: list[Future[InfillResult]] = []
        try:
            for index, request in enumerate(self.requests):
                futures.append(model.submit(request, on_text(index)))
        except BaseException:
            _cancel(futures)
            raise
        return futures


async def _in_thread(function: Callable[[], T], undo: Callable[[T], object]) -> T:
    """Run a function in a thread; if this coroutine is cancelled meanwhile, `undo` its result."""
    running = _SUBMITTING.submit(function)
    try:
        return await asyncio.wrap_future(running)
    except asyncio.CancelledError:
        running.add_done_callback(
            lambda done: None if done.cancelled() or done.exception() else undo(done.result())
        )
        raise


def _retrieve(future: "asyncio.Future[InfillResult]") -> None:
    """Look at a future's error, so that asyncio does not report that nobody has."""
    if not future.cancelled():
        future.exception()


def _engine_died() -> RequestError:
    return RequestError(
        503, "the model's engine has ended; it is started again", "unavailable_error", retry_after=1
    )


def _cancel(futures: Sequence[Future[InfillResult]]) -> None:
    for future in futures:
        future.cancel()
