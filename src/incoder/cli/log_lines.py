"""Progress without a terminal, such as in a log file: one line a minute with the latest state.

Every long command uses it, through `console.progress` and `progress_bar` or with bars of its own.
"""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID

_LINE_SECONDS = 60.0


class LogLines:
    """Passes a text on to `tell` at most once a minute, and drops the texts in between."""

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._clock, self._next = tell, clock, clock() + _LINE_SECONDS

    def tell(self, text: str) -> None:
        if self._clock() >= self._next:
            self._tell(text)
            self._next = self._clock() + _LINE_SECONDS


class LoggedProgress(Progress):
    """Rich's progress bars if `console` is a terminal, else lines about the task that makes progress."""

    def __init__(self, *columns: Any, console: Console, **settings: Any) -> None:
        super().__init__(*columns, console=console, disable=not console.is_terminal, **settings)
        self._lines = (
            None if console.is_terminal else LogLines(lambda text: console.print(text, markup=False))
        )

    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **changes)
        self._tell(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        if self._lines is not None:
            task = self._tasks[task_id]
            of_all = f" of {task.total:,.0f} ({task.percentage:.0f} %)" if task.total else ""
            self._lines.tell(f"{task.description}: {task.completed:,.0f}{of_all}")
