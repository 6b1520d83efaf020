"""Why a run of several processes ended, in one sentence that is the same in every process.

A process that fails ends the connections of the others, which then only know that a connection is gone. So it
first writes its message into `ranks/RANK.error.json`; the others report it instead of their own. If
there is no message, `ranks/` shows which process was killed, or which one the others waited for; the first
process that finds out writes that down for the rest.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from incoder.errors import IncoderError
from incoder.training.heartbeat import FOLDER, HeartbeatWriter, write_json
from incoder.training.ranks import Place
from incoder.training.watch import is_running

_ERROR = ".error.json"
_LOST = re.compile(r"gloo|nccl|process ?group|connection|timed out|broken pipe|tcpstore", re.IGNORECASE)
_TIMED_OUT = re.compile(r"timed? ?out", re.IGNORECASE)
_PATIENCE = 3.0  # seconds that another machine's file may take to appear


class LostProcessError(IncoderError):
    """Another process of the run failed, was killed, or did not answer; the message says which one."""


@contextmanager
def last_words(output: Path, place: Place, heartbeat: HeartbeatWriter) -> Iterator[None]:
    """Write down the error that ends the block; if another process caused it, raise that one's instead.

    Raises:
        LostProcessError: another process failed, was killed, or did not answer.
    """
    try:
        yield
    except Exception as error:
        is_lost = place.world_size > 1 and _is_lost(error)
        message = str(error) if isinstance(error, IncoderError) else f"{type(error).__name__}: {error}"
        if is_lost:
            message = _reason(output / FOLDER, place, heartbeat.step, error)
        words = {"rank": place.rank, "world_size": place.world_size, "host": place.host}
        words |= {"step": heartbeat.step, "message": message, "is_repeated": is_lost, "time": time.time()}
        with suppress(OSError):
            write_json(output / FOLDER / f"{place.rank}{_ERROR}", words)
        if is_lost:
            raise LostProcessError(message) from error
        raise


def _is_lost(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and _LOST.search(str(error)) is not None


def _reason(folder: Path, place: Place, step: int, error: Exception) -> str:
    """The message of a process that ended for a reason of its own, else what the files show."""
    deadline = time.monotonic() + _PATIENCE
    while not (words := _read(folder, "*" + _ERROR, place)) and time.monotonic() < deadline:
        time.sleep(0.1)
    own = [values for values in words if not values.get("is_repeated")]
    if own:
        first = min(own, key=lambda values: float(values["time"]))
        return f"{_named(first, place)}: {first['message']}"
    if words:
        return str(words[0]["message"])
    others = sorted(_read(folder, "*[0-9].json", place), key=lambda values: (values["step"], values["time"]))
    for other in others:
        if other["host"] == place.host and not is_running(int(other["pid"])):
            return (
                f"{_named(other, place)} ended without a message after step {other['step']} (last: "
                f"{other['stage']}): it was killed, often because memory was short; --resume goes on from "
                "the newest checkpoint"
            )
    if others and _TIMED_OUT.search(str(error)):
        last = others[0]
        return (
            f"{_named(last, place)} has not gone on for {time.time() - last['time']:.0f} s after step "
            f"{last['step']} (last: {last['stage']}); the others waited for it longer than "
            "parallel.timeout_seconds allows"
        )
    return (
        f"{place} lost another process after step {step} ({str(error).splitlines()[0]}); --resume goes on "
        "from the newest checkpoint"
    )


def _named(values: dict[str, Any], place: Place) -> str:
    return f"process {values['rank']} of {place.world_size} ({values['host']})"


def _read(folder: Path, pattern: str, place: Place) -> list[dict[str, Any]]:
    """The files of the other processes; a damaged one is left out."""
    found = []
    for path in folder.glob(pattern):
        with suppress(OSError, ValueError, KeyError, TypeError):
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["rank"] != place.rank and all(key in values for key in ("host", "step", "time")):
                found.append(values)
    return found
