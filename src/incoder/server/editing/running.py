"""An editing tool as a job, in a thread; every call of its model ends when the job is cancelled."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, TypeVar

from incoder.editing.candidates import Change
from incoder.editing.edits import apply_edits
from incoder.request import InfillRequest
from incoder.server.editing.tools import Task, Tool
from incoder.server.fields import Fields
from incoder.server.jobs import watch_client
from incoder.server.limits import checked
from incoder.server.models.served_model import LoadedModel
from incoder.server.request_error import RequestError

if TYPE_CHECKING:
    from incoder.server.exchange import Exchange

T = TypeVar("T")

MAX_CHARACTERS = 500_000  # of a text: parsing takes seconds for more
_THREADS = ThreadPoolExecutor(2, "incoder-edit")


async def run_tool(exchange: "Exchange", tool: Tool, body: Fields) -> Mapping[str, Any]:
    """Run a tool on the text in this body, and return its changes as JSON.

    Raises:
        FieldError: a field of the wrong kind or outside of its range.
        IncoderError: the tool refuses this text.
    """
    name, changes = await run_task(exchange, lambda task: list(tool(task)), body)
    return {"id": f"edit-{exchange.id}", "model": name, **described(body.required_text("text"), changes)}


async def run_task(exchange: "Exchange", work: Callable[[Task], T], body: Fields) -> tuple[str, T]:
    """Return the name of the model that a body names, and what `work` returns for the task of the body.

    Raises:
        FieldError: a field of the wrong kind or outside of its range.
        IncoderError: the text is too long, or `work` refuses it.
    """
    server = exchange.server
    text = body.required_text("text")
    if len(text) > MAX_CHARACTERS:
        raise RequestError(413, f"text must have at most {MAX_CHARACTERS} characters, got {len(text)}")
    name = server.models.find(body.text("model", "")).facts.name

    def settle(template: InfillRequest) -> InfillRequest:
        (template,) = checked([template], server.settings)
        limit = exchange.started + server.settings.time_limit
        return replace(template, cache_salt=exchange.user, deadline=limit)

    async def in_thread(model: LoadedModel) -> T:
        waiting = _Waiting()
        task = Task(text, body, model.for_editing(waiting.wait), settle, server.settings)
        running = _THREADS.submit(lambda: work(task))
        try:
            return await asyncio.wrap_future(running)
        finally:
            waiting.cancel()

    job = server.jobs.start(name, in_thread)
    watcher = asyncio.create_task(watch_client(exchange.request, job))
    try:
        return name, await job.result()
    finally:
        watcher.cancel()


def described(text: str, changes: list[Change]) -> dict[str, Any]:
    """Return the new text and every change; `used` is a candidate's index from 0, or None."""
    edits = [edit for change in changes for edit in change.edits]
    return {
        "text": apply_edits(text, edits),
        "changes": [
            {
                "place": change.place,
                "line": change.line,
                "used": change.candidates.index(change.used) if change.used else None,
                "candidates": [asdict(candidate) for candidate in change.candidates],
            }
            for change in changes
        ],
    }


class _Waiting:
    """Waits for futures in the tool's thread until the job is cancelled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_cancelled = False
        self._current: Future[Any] | None = None

    def wait(self, future: Future[T]) -> T:
        with self._lock:
            self._current = future
            if self._is_cancelled:
                future.cancel()
        return future.result()

    def cancel(self) -> None:
        """End the call that is waited for, and every later one."""
        with self._lock:
            self._is_cancelled = True
            if self._current is not None:
                self._current.cancel()
