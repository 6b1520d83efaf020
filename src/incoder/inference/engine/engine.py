"""Many generation coroutines over one model, in the same steps: continuous batching.

A request is admitted when the key/value cache has free blocks for it, first come first served. Long prompts
are prefilled in chunks between the others' tokens. A request whose next block another one is about to compute
waits for that block, so that a common prefix is computed once. The result of a request does not depend on the
others.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

import torch

from incoder.errors import IncoderError
from incoder.inference.engine.cached_sequences import CachedSequences, TransformerModel, logits_of
from incoder.inference.engine.runner import BLOCK_SIZE, Runner
from incoder.inference.engine.scheduled_sequence import ScheduledSequence, step
from incoder.inference.language_model import Forward, Generation, LanguageModel

T = TypeVar("T")

_OTHER_MODEL = (
    "the request is for another model than this engine's; submit it to an engine of the model that made it"
)


class Engine:
    """Runs the requests of one model side by side: as many as fit into its cache, at most `max_active`.

    A request waits while the cache has too few free blocks for it, and the others go on. If none can go on,
    because their candidates need more blocks than are free, the youngest is preempted: it frees its blocks
    and is computed again later. A request that does not fit into the cache alone fails.

    Thread safety: `submit`, and `cancel` of the futures that it returns, may be called from any thread, also
    from callbacks. Call `step` and `run` from one thread only; the coroutines and their callbacks run in it
    (an `EngineWorker` has such a thread). `result()` of a future waits for that thread.

    Raises:
        IncoderError: a model without a key/value cache for several requests.

    >>> from incoder import InfillRequest
    >>> engine = Engine(model.language_model)
    >>> request = InfillRequest.from_settings("x = <FILL>\\n", max_new_tokens=4)
    >>> future = engine.submit(model.generation(request))
    >>> engine.run()
    >>> len(future.result().infills)
    1
    """

    def __init__(self, model: LanguageModel, max_active: int | None = None) -> None:
        if not isinstance(model, TransformerModel):
            raise IncoderError(
                f"an Engine runs the language models of incoder.load, got a {type(model).__name__}; "
                "give it model.language_model of such a model"
            )
        if max_active is not None and max_active < 1:
            raise IncoderError(f"max_active must be at least 1, got {max_active}")
        self._runner = model.runner
        self._max_active = max_active
        self._submitted: deque[_Request[Any]] = deque()  # by any thread
        self._cancelled: deque[_Request[Any]] = deque()  # by any thread
        self._waiting: deque[_Request[Any]] = deque()
        self._active: list[_Request[Any]] = []  # the oldest first
        self._is_full = False  # a running request waits for blocks, so that none may be admitted

    @property
    def has_work(self) -> bool:
        """Whether `step` would do something."""
        return bool(self._submitted or self._waiting or self._active)

    def submit(self, generation: Generation[T]) -> Future[T]:
        """Append a generation coroutine to the queue; `step` starts it.

        The future has the coroutine's result or error. Cancelling it ends the coroutine between two steps,
        also during prefill, and frees its cache blocks.
        """
        request = _Request(generation, self._runner)

        def note_cancelled(future: Future[T]) -> None:
            if future.cancelled():
                self._cancelled.append(request)

        request.future.add_done_callback(note_cancelled)
        self._submitted.append(request)
        return request.future

    @torch.inference_mode()
    def step(self) -> bool:
        """Compute one step of the active requests; return whether any request is left.

        If computing fails, for example out of memory, all requests of the step fail. A `BaseException` that
        is no `Exception`, such as KeyboardInterrupt in a callback, ends its request and is raised.
        """
        while self._submitted:
            self._waiting.append(self._submitted.popleft())
        while self._cancelled:
            self._cancelled.popleft().end()
        self._active = [request for request in self._active if not request.is_done]
        self._admit()
        self._compute()
        for request in self._active:
            if not request.is_done and not request.num_left:
                request.resume()
        self._active = [request for request in self._active if not request.is_done]
        return self.has_work

    def run(self) -> None:
        """Step until no request is left."""
        while self.step():
            pass

    def cancel_all(self) -> None:
        """Cancel all requests."""
        for request in self._take_all():
            request.future.cancel()
            request.end()

    def fail_all(self, error: BaseException) -> None:
        """End all requests with this error."""
        for request in self._take_all():
            request.fail(error)

    def _take_all(self) -> list["_Request[Any]"]:
        requests = [*self._active, *self._waiting]
        self._active, self._waiting = [], deque()
        while self._submitted:  # others may be submitting
            requests.append(self._submitted.popleft())
        return [request for request in requests if not request.is_done]

    def _admit(self) -> None:
        """Start requests from the queue while there are free blocks for the first in line.

        Requests that wait for a block which an active one is about to compute keep their place in the queue.
        """
        held: list[_Request[Any]] = []
        while self._waiting and not self._is_full and len(self._active) != self._max_active:
            request = self._waiting[0]
            if not request.is_begun and not request.is_done:
                request.begin()
            if not request.is_done and any(map(request.waits_for, self._active)):
                held.append(self._waiting.popleft())
                continue
            if not request.is_done and not self._fits(request):
                break
            self._waiting.popleft()
            if not request.is_done:
                request.start()
                self._active.append(request)
        self._waiting.extendleft(reversed(held))

    def _fits(self, request: "_Request[Any]") -> bool:
        """Whether enough blocks are free for the request's first step and the next one of active requests.

        If no request is active, the request is always admitted: only computing shows whether it fits.
        """
        if not self._active:
            return True
        num_needed = sum(one.num_blocks_needed for one in (*self._active, request))
        return num_needed <= self._runner.pool.num_free

    def _compute(self) -> None:
        """Compute a step of the active requests; preempt the youngest while none has enough free blocks."""
        self._is_full = False
        try:
            while self._active:
                requests = [request.scheduled for request in self._active]
                result = step(self._runner, requests, may_grow=False)
                self._is_full = result.num_waiting > 0
                if result.num_computed or not result.num_waiting:
                    return
                if len(self._active) == 1:
                    self._active.pop().fail(self._too_large())
                    self._is_full = False
                else:
                    youngest = self._active.pop()
                    youngest.preempt()
                    self._waiting.appendleft(youngest)
        except BaseException as error:  # which tokens were computed is unknown
            for request in self._active:
                request.fail(error)
            if not isinstance(error, Exception):
                raise

    def _too_large(self) -> IncoderError:
        num_tokens = self._runner.pool.num_blocks * BLOCK_SIZE
        return IncoderError(
            f"the request does not fit into the key/value cache, which holds {num_tokens} tokens of all its "
            "candidates together; ask for fewer candidates or beams, give a shorter text, or make the cache "
            "larger (num_blocks of TransformerModel)"
        )


class _Request(Generic[T]):
    """A submitted generation coroutine, the sequences that it waits for, and the future of its result."""

    def __init__(self, generation: Generation[T], runner: Runner) -> None:
        self.future: Future[T] = Future()
        self.is_begun = False
        self.is_done = False
        self._generation = generation
        self._runner = runner
        self._rows: Sequence[ScheduledSequence] = ()
        self._all_logits = False
        self._is_active = False

    @property
    def scheduled(self) -> list[ScheduledSequence]:
        """The sequences with tokens left to compute."""
        return [row for row in self._rows if row.num_left]

    @property
    def num_left(self) -> int:
        return sum(sequence.num_left for sequence in self.scheduled)

    @property
    def num_blocks_needed(self) -> int:
        return sum(sequence.num_blocks_needed for sequence in self.scheduled)

    def waits_for(self, other: "_Request[Any]") -> bool:
        """Whether an active request is about to compute the next block that this one needs."""
        missing = {row.first_missing_block(self._runner.pool) for row in self._rows} - {None}
        return any(row.will_compute(one) for row in other._rows for one in missing if one is not None)

    def begin(self) -> None:
        """Run the coroutine up to its first forward request. It holds no blocks yet."""
        self.is_begun = True
        self._run_coroutine(lambda: next(self._generation))

    def start(self) -> None:
        """Match cached prefixes; from now on the request holds blocks."""
        self._is_active = True
        with self._runner.lock:
            for sequence in self._rows:
                sequence.start()

    def preempt(self) -> None:
        """Free the blocks of all rows, until the next `start`."""
        self._is_active = False
        with self._runner.lock:
            for sequence in self._rows:
                sequence.preempt()

    def resume(self) -> None:
        """Send the coroutine the logits that it waits for."""
        self._run_coroutine(lambda: self._generation.send(logits_of(self._rows, all_logits=self._all_logits)))

    def fail(self, error: BaseException) -> None:
        """End the coroutine; the future raises this error. Does nothing if the request is done."""
        if not self.is_done:
            self._finish(lambda future: future.set_exception(error))

    def end(self) -> None:
        """End the coroutine of a cancelled future. Does nothing if the request is done."""
        if not self.is_done:
            self._finish(lambda _: None)

    def _run_coroutine(self, next_request: Callable[[], Forward]) -> None:
        try:
            request = next_request()
            sequences = request.sequences
            if not (isinstance(sequences, CachedSequences) and sequences.runner is self._runner):
                raise IncoderError(_OTHER_MODEL)  # noqa: TRY301 - fails this request like its own errors
            self._rows = sequences.schedule(request.rows, all_logits=request.all_logits)
            self._all_logits = request.all_logits
            if self._is_active:
                self.start()
        except StopIteration as end:
            value: T = end.value
            self._finish(lambda future: future.set_result(value))
        except BaseException as error:
            self.fail(error)
            if not isinstance(error, Exception):  # for the thread's owner; the other requests go on
                raise

    def _finish(self, resolve: Callable[[Future[T]], None]) -> None:
        """Close the coroutine, which frees its blocks; then resolve the future unless it was cancelled."""
        self.is_done, self._rows = True, ()
        try:
            self._generation.close()
        finally:
            if self.future.set_running_or_notify_cancel():
                resolve(self.future)
