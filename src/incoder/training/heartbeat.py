"""`ranks/RANK.json`: how far a process of a run is, for people and programs that look at the run's folder.

The training loop notes its stage; a thread writes it, at most once a second, so that the loop never waits for
a slow disk. `time` is when the loop noted it, so it does not change while the loop hangs.
"""

import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from incoder.training.ranks import Place

FOLDER = "ranks"  # in the folder of a run

_SECONDS = 1.0  # between two writes


class HeartbeatWriter:
    """Writes the file of one process while its block runs. A file that cannot be written stops nothing."""

    def __init__(self, output: Path, place: Place) -> None:
        self._folder = output / FOLDER
        self._path = self._folder / f"{place.rank}.json"
        self._facts: dict[str, Any] = {
            "rank": place.rank,
            "world_size": place.world_size,
            "host": place.host,
            "pid": os.getpid(),
        }
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write_changes, name="heartbeat", daemon=True)
        self.step = 0
        self._said: dict[str, Any] = {}
        self.say(0, "starting")

    def say(self, step: int, stage: str) -> None:
        """Note that the loop has done `step` steps and what it does now."""
        self.step = step
        self._said = {"step": step, "stage": stage, "time": time.time()}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _write_changes(self) -> None:
        written: dict[str, Any] = {}
        has_ended = False
        while not has_ended:
            if self._said is not written:
                written = self._said
                with suppress(OSError):
                    write_json(self._path, self._facts | written)
            has_ended = self._ended.wait(_SECONDS)
        if self._said is not written:
            with suppress(OSError):
                write_json(self._path, self._facts | self._said)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Replace a small file at once, without waiting for the disk: it is worth nothing after a power cut.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(values) + "\n", encoding="utf-8")
    temporary.replace(path)


def remove_heartbeats(output: Path) -> None:
    """Remove the files of an earlier start of the run, before the processes of this one write theirs."""
    for path in (output / FOLDER).glob("*.json*"):
        with suppress(OSError):
            path.unlink()
