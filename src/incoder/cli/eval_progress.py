"""The progress of judging a model: a bar for each stage."""

from typing import Any

from incoder.cli.console import notes
from incoder.cli.log_lines import LoggedProgress


class ProgressBars:
    """A bar for each stage, such as completing the tasks and running the programs."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._progress = LoggedProgress(*columns, console=notes)
        self._bars: dict[str, Any] = {}

    def __enter__(self) -> "ProgressBars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, stage: str, done: int, total: int) -> None:
        if stage not in self._bars:
            self._bars[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._bars[stage], completed=done)
