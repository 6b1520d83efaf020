"""A stage: independent tasks, and the thin adapter that makes each a datatrove pipeline.

The tasks depend only on the input, never on the number of workers. A task writes its files as a whole or not
at all, and may run twice. So the result is the same with any executor and any number of workers, and a killed
run continues with the unfinished tasks.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from incoder.errors import IncoderError

OnBytes = Callable[[int], None]  # the bytes of a task's input that it has done since the last call
OnProgress = Callable[[str, int, int], None]  # stage, bytes done, total bytes

_SECONDS_BETWEEN_NOTES = 0.5


class Work(Protocol):
    """The work of a stage, which runs one task; it can be pickled."""

    def __call__(self, task: int, on_bytes: OnBytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Stage:
    """The tasks of a stage: one for each entry of `task_bytes`, the size of its input.

    `is_whole(task)` says whether the files that a finished task left are undamaged. `give_up(task, reason)`
    leaves out a task whose process dies each time; without this function, that is an error.
    """

    name: str
    work: Work
    task_bytes: Sequence[int]
    is_whole: Callable[[int], bool]
    give_up: Callable[[int, str], None] | None = None

    def damaged_tasks(self) -> list[int]:
        """The finished tasks whose files are damaged."""
        return [task for task in range(len(self.task_bytes)) if not self.is_whole(task)]


class TaskStep:
    """A stage's work as a step of a datatrove pipeline, which records its progress and why it failed."""

    def __init__(self, work: Work, folder: Path) -> None:
        self._work, self._folder = work, folder
        for kind in ("progress", "failures"):
            (folder / kind).mkdir(parents=True, exist_ok=True)

    def __repr__(self) -> str:
        return type(self._work).__name__

    def __call__(self, data: Any, rank: int, world_size: int) -> None:  # noqa: ARG002 - datatrove's shape
        note = note_of(self._folder, "progress", rank)
        done, noted = 0, time.monotonic()

        def on_bytes(num_bytes: int) -> None:
            nonlocal done, noted
            done += num_bytes
            if time.monotonic() - noted > _SECONDS_BETWEEN_NOTES:
                note.write_text(str(done))
                noted = time.monotonic()

        try:
            self._work(rank, on_bytes)
        except Exception as error:
            expected = isinstance(error, IncoderError | OSError)
            message = str(error) if expected else f"{type(error).__name__}: {error}"
            with suppress(OSError):  # the disk may be full for this note as well
                note_of(self._folder, "failures", rank).write_text(message)
            raise
        finally:
            note.unlink(missing_ok=True)


def note_of(folder: Path, kind: str, task: int) -> Path:
    return folder / kind / f"{task:06}"
