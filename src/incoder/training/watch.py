"""Watching the processes of a run by the files that they write into its folder, from any machine that has it.

`ranks/RANK.json` says how many steps a process has done, its stage, and since when. From these files this
module finds out which processes are alive, and which one the others wait for. Imports no torch.
"""

import json
import os
import socket
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from incoder.training.heartbeat import FOLDER

_SHORTEST_LAG = 60.0  # seconds
_LAG_IN_STEPS = 10  # of the median length
_NUM_LENGTHS = 50  # of steps, of which the median is taken
_POLL_SECONDS = 1.0
_STAGES = ("starting", "reading data", "computing", "evaluating", "saving", "stopped", "finished")
_ENDED = frozenset({"stopped", "finished"})
_RECYCLED = 5.0  # seconds: a process that is younger than a file about it is another process


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One process of a run: the steps that it has done, and what it has done since `time` (Unix seconds)."""

    rank: int
    world_size: int
    host: str
    pid: int
    step: int
    stage: str
    time: float

    def __str__(self) -> str:
        return f"process {self.rank} of {self.world_size} ({self.host})"

    @property
    def has_ended(self) -> bool:
        """Whether the process has left the training loop in order."""
        return self.stage in _ENDED

    def is_here(self) -> bool:
        """Whether this machine has, or had, the process."""
        return self.host == socket.gethostname()

    def is_gone(self) -> bool:
        """Whether the process is known to have ended; nothing is known about other machines."""
        return self.is_here() and not is_running(self.pid, since=self.time)


def read_heartbeats(output: Path) -> list[Heartbeat]:
    """Return the heartbeats in a run's folder by rank, without damaged or outdated ones."""
    found = {}
    for path in (output / FOLDER).glob("*[0-9].json"):
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            beat = _heartbeat(json.loads(path.read_bytes()))
            found[beat.rank] = beat
    newest = max(found.values(), key=lambda beat: beat.time, default=None)
    return [found[rank] for rank in sorted(found) if newest and rank < newest.world_size]


def read_last_words(output: Path) -> list[dict[str, Any]]:
    """Return what failed processes wrote into `ranks/RANK.error.json`, the first of them first."""
    words = []
    for path in (output / FOLDER).glob("*.error.json"):
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            values = json.loads(path.read_bytes())
            known = {name: int(values[name]) for name in ("rank", "world_size", "step")}
            texts = {name: str(values[name]) for name in ("host", "message")}
            words.append(known | texts | {"time": float(values["time"])})
    return sorted(words, key=lambda values: values["time"])


def is_running(pid: int, *, since: float = 0.0) -> bool:
    """Whether this machine has the process, which was there at `since`; on Linux a zombie is not running.

    >>> is_running(os.getpid())
    True
    """
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        pass
    process = Path(f"/proc/{pid}")
    with suppress(OSError, IndexError):
        if since and process.stat().st_ctime > since + _RECYCLED:
            return False
        return (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    return True


def longest_usual_step(lengths: Sequence[float]) -> float:
    """Return the seconds after which a step takes unusually long, given the lengths of earlier ones.

    >>> longest_usual_step([0.5]), longest_usual_step([20.0, 30.0, 500.0])
    (60.0, 300.0)
    """
    return max(_SHORTEST_LAG, _LAG_IN_STEPS * statistics.median(lengths)) if lengths else _SHORTEST_LAG


def laggard(beats: Sequence[Heartbeat]) -> Heartbeat | None:
    """Return the process that the others wait for: the one with the fewest steps, if others have more.

    >>> ahead = Heartbeat(0, 2, "a", 1, step=8, stage="computing", time=0.0)
    >>> late = Heartbeat(1, 2, "b", 2, step=8, stage="reading data", time=0.0)
    >>> str(laggard([ahead, late]))
    'process 1 of 2 (b)'
    """
    going = [beat for beat in beats if not beat.has_ended]
    if len(beats) < 2 or not going:
        return None
    gone = [beat for beat in going if beat.is_gone()]
    last = min(gone or going, key=_progress)
    return last if gone or _progress(last) < max(map(_progress, beats)) else None


class Watchdog:
    """Calls `say` with the process that the others wait for, once for each step that takes unusually long.

    As a context it polls in a thread. `rank` is the process that it runs in: of all processes that do not
    lag, only the first calls `say`. Without a rank, the watchdog always calls it.
    """

    def __init__(
        self,
        output: Path,
        say: Callable[[str], None],
        *,
        rank: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._output, self._say, self._rank, self._clock = output, say, rank, clock
        self._step = -1
        self._since = clock()
        self._lengths: deque[float] = deque(maxlen=_NUM_LENGTHS)
        self._has_spoken = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll_until_ended, name="watchdog", daemon=True)

    def poll(self) -> None:
        """Look at the files once."""
        beats = read_heartbeats(self._output)
        step = max((beat.step for beat in beats), default=-1)
        now = self._clock()
        if step != self._step:
            if 0 <= self._step < step:
                self._lengths.append((now - self._since) / (step - self._step))
            self._step, self._since, self._has_spoken = step, now, False
        waited = now - self._since
        if self._has_spoken or waited <= longest_usual_step(list(self._lengths)):
            return
        late = laggard(beats)
        speaker = min((beat.rank for beat in beats if beat is not late), default=None)
        if beats and (self._rank is None or self._rank == speaker):
            self._say(_sentence(late, beats, waited))
        self._has_spoken = True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _poll_until_ended(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            self.poll()


def _sentence(late: Heartbeat | None, beats: list[Heartbeat], waited: float) -> str:
    if late is not None and late.is_gone():
        return f"{late} is gone since step {late.step + 1} (last: {late.stage}); the others wait"
    if late is not None:
        return (
            f"{late} has not reached step {max(beat.step for beat in beats) + 1} for {waited:.0f} s "
            f"(last: {late.stage}); the others wait"
        )
    last = max(beats, key=lambda beat: beat.step)
    return f"no process has finished step {last.step + 1} for {waited:.0f} s (last: {last.stage})"


def _progress(beat: Heartbeat) -> tuple[int, int]:
    return beat.step, _STAGES.index(beat.stage) if beat.stage in _STAGES else len(_STAGES)


def _heartbeat(values: Any) -> Heartbeat:
    """Raises KeyError, TypeError or ValueError if the values are no heartbeat."""
    return Heartbeat(
        rank=int(values["rank"]),
        world_size=int(values["world_size"]),
        host=str(values["host"]),
        pid=int(values["pid"]),
        step=int(values["step"]),
        stage=str(values["stage"]),
        time=float(values["time"]),
    )
