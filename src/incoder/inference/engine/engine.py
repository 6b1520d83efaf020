"""Many generation coroutines over one model, in the same steps: continuous batching.

Whoever is done makes room for the next at once, long prompts are read in pieces between the others' tokens,
and what a coroutine gets does not depend on who else is there. Not for several threads: one of them steps.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import torch

from incoder.errors import IncoderError
from incoder.inference.engine.cached_sequences import CachedSequences, TransformerModel, logits_of
from incoder.inference.engine.reading import Reading, step
from incoder.inference.engine.runner import Runner
from incoder.inference.language_model import Forward, Generation

T = TypeVar("T")

_OTHER_MODEL = (
    "the request is for another model than this engine's; submit it to an engine of the model that made it"
)


class Cancelled(Exception):  # noqa: N818 - what became of a task, asked for by its owner
    """The task was cancelled, so that there is no result."""


class Task(Generic[T]):
    """A submitted generation coroutine. `is_done` is True once it has a result or has failed."""

    def __init__(self, generation: Generation[T], runner: Runner) -> None:
        self._generation = generation
        self._runner = runner
        self._readings: Sequence[Reading | None] = ()
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._is_running = False

    @property
    def is_done(self) -> bool:
        return bool(self._result) or self._error is not None

    def result(self) -> T:
        """What the coroutine returned.

        Raises:
            Cancelled: the task was cancelled.
            IncoderError: the coroutine is for another model than the engine's. All errors of the coroutine
                itself are raised unchanged.
        """
        assert self.is_done, "the task is not done; step the engine until it is"
        if self._error is not None:
            raise self._error
        return self._result[0]

    def cancel(self) -> None:
        """End the coroutine; what it held of the cache is given back. Harmless when done.

        From inside the coroutine (`on_text`), it ends when it next waits for the model.
        """
        if not self.is_done:
            self._fail(Cancelled())

    def _readings_left(self) -> list[Reading]:
        return [reading for reading in self._readings if reading is not None]

    def _fail(self, error: BaseException) -> None:
        self._error, self._readings = error, ()
        if not self._is_running:
            self._generation.close()

    def _begin(self) -> None:
        self._take(lambda: next(self._generation))

    def _go_on(self) -> None:
        """Let the coroutine have what was read, if that is all it waits for."""
        if not self.is_done and not any(reading.num_left for reading in self._readings_left()):
            logits = logits_of(self._readings)
            self._take(lambda: self._generation.send(logits))

    def _take(self, next_request: Any) -> None:
        try:
            self._is_running = True
            try:
                request: Forward = next_request()
            finally:
                self._is_running = False
            if self._error is not None:  # cancelled from inside
                self._generation.close()
                return
            sequences = request.sequences
            if not (isinstance(sequences, CachedSequences) and sequences.runner is self._runner):
                raise IncoderError(_OTHER_MODEL)  # noqa: TRY301 - fails this task like its own errors
            self._readings = sequences.start(request.rows, all_logits=request.all_logits)
        except StopIteration as end:
            if self._error is None:
                self._result.append(end.value)
        except BaseException as error:
            self._fail(self._error or error)
            if not isinstance(error, Exception):  # another error is the owner's, and must not end the others
                raise


class Engine:
    """Runs up to `max_active` coroutines of one model at a time; the others wait for their turn."""

    def __init__(self, model: TransformerModel, max_active: int = 16) -> None:
        assert max_active > 0
        self._runner = model.runner
        self._max_active = max_active
        self._waiting: deque[Task[Any]] = deque()
        self._active: list[Task[Any]] = []

    def submit(self, generation: Generation[T]) -> Task[T]:
        """Put a coroutine at the end of the queue; `step` begins it."""
        task = Task(generation, self._runner)
        self._waiting.append(task)
        return task

    @torch.inference_mode()
    def step(self) -> bool:
        """Read once for all active tasks; whether any task is left. Where reading fails, they all fail."""
        self._admit()
        readings = [reading for task in self._active for reading in task._readings_left() if reading.num_left]
        try:
            if readings:
                step(self._runner, readings)
        except BaseException as error:  # nobody knows what of it was read
            for task in self._active:
                task._fail(error)
            if not isinstance(error, Exception):
                raise
        for task in self._active:
            task._go_on()
        self._active = [task for task in self._active if not task.is_done]
        return bool(self._active or self._waiting)

    def run(self) -> None:
        """Step until no task is left."""
        while self.step():
            pass

    def _admit(self) -> None:
        self._active = [task for task in self._active if not task.is_done]
        while self._waiting and len(self._active) < self._max_active:
            task = self._waiting.popleft()
            if not task.is_done:
                task._begin()
            if not task.is_done:
                self._active.append(task)
