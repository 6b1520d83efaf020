"""How a run is going, from the files in its folder: step, loss, speed, time left, checkpoint, processes.

Works for a run on another machine that shares the folder. Imports no torch and changes nothing.
"""

import math
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from incoder.config import load_recipe
from incoder.errors import IncoderError
from incoder.training.metrics import read_metrics
from incoder.training.recipe import TrainingRecipe
from incoder.training.watch import Heartbeat, laggard, longest_usual_step, read_heartbeats, read_last_words

State = Literal["running", "waiting", "silent", "ended", "stopped", "finished"]

_NUM_ROWS = 50  # of the metrics, whose median is the speed
_CHECKPOINT = re.compile(r"step-(\d+)(?:\.pt)?")
_SILENT_STEPS = 3  # unusually long steps without a sign, after which a process of another machine seems dead


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The state of a run. Values that are not in the folder are None.

    `running`; `waiting`: a step takes unusually long; `silent`: no sign for so long that the run seems dead;
    `ended`: its processes are gone, and it did not reach its end; `stopped`: by a user; `finished`.
    """

    state: State
    steps_done: int
    num_steps: int
    loss: float | None
    validation_loss: float | None
    tokens_per_second: float | None
    seconds_left: float | None
    seconds_since_sign: float | None  # since a step was finished, or a process said what it does
    checkpoint_step: int | None
    checkpoint_age: float | None  # in seconds
    processes: tuple[Heartbeat, ...]
    late: int | None  # the rank that the others wait for
    problem: str | None


def run_status(output: Path, *, now: float | None = None) -> RunStatus:
    """Return how the run in a folder is going.

    Raises:
        IncoderError: the folder holds no run, or a file cannot be read.
    """
    now = time.time() if now is None else now
    if not (output / "recipe.toml").is_file():
        raise IncoderError(
            f"{output} holds no training run: it has no recipe.toml; name the --output of a run"
        )
    recipe = load_recipe(TrainingRecipe, output / "recipe.toml", on_renamed=lambda _: None)
    rows = read_metrics(output / "metrics.jsonl")
    beats = read_heartbeats(output)
    seconds = _seconds_per_step(rows)
    steps_done = max([rows[-1]["step"] + 1 if rows else 0, *(beat.step for beat in beats)])
    newest = newest_checkpoint(output)
    sign = _last_sign(output, beats)
    since_sign = None if sign is None else max(0.0, now - sign)
    last_words = read_last_words(output)
    state = _state(beats, steps_done, recipe.training.steps, since_sign, longest_usual_step(seconds))
    late = laggard(beats) if state == "waiting" else None
    is_over = state in ("finished", "stopped", "ended")
    steps_left = recipe.training.steps - steps_done
    return RunStatus(
        state=state,
        steps_done=steps_done,
        num_steps=recipe.training.steps,
        loss=_last(rows, "loss"),
        validation_loss=_last(rows, "validation_loss"),
        tokens_per_second=_speed(rows),
        seconds_left=None if is_over or not seconds else steps_left * statistics.median(seconds),
        seconds_since_sign=since_sign,
        checkpoint_step=None if newest is None else newest[0],
        checkpoint_age=None if newest is None else max(0.0, now - newest[1]),
        processes=tuple(beats),
        late=late.rank if late else None,
        problem=_problem(state, beats, last_words),
    )


def newest_checkpoint(output: Path) -> tuple[int, float] | None:
    """Return the step of the newest whole checkpoint, and when it was written (Unix seconds), or None.

    >>> newest_checkpoint(Path("no/such/run")) is None
    True
    """
    found = []
    folder = output / "checkpoints"
    for path in folder.iterdir() if folder.is_dir() else ():
        named = _CHECKPOINT.fullmatch(path.name)
        if named and (path.suffix == ".pt" or (path / ".metadata").is_file()):
            found.append((int(named[1]), path.stat().st_mtime))
    return max(found, default=None)


def _state(
    beats: Sequence[Heartbeat], steps_done: int, num_steps: int, since_sign: float | None, usual: float
) -> State:
    if beats and all(beat.stage == "finished" for beat in beats):
        return "finished"
    if beats and all(beat.has_ended for beat in beats):
        return "stopped"
    if any(beat.is_gone() for beat in beats if not beat.has_ended):
        return "ended"
    if not beats and steps_done >= num_steps:
        return "finished"
    if since_sign is None or since_sign <= usual:
        return "running"
    is_alive_here = any(beat.is_here() and not beat.is_gone() for beat in beats)
    return "waiting" if is_alive_here or since_sign <= _SILENT_STEPS * usual else "silent"


def _problem(state: State, beats: Sequence[Heartbeat], last_words: Sequence[dict[str, Any]]) -> str | None:
    if state in ("running", "finished", "stopped"):
        return None
    if last_words:
        words = last_words[0]
        return f"process {words['rank']} of {words['world_size']} ({words['host']}): {words['message']}"
    gone = [beat for beat in beats if not beat.has_ended and beat.is_gone()]
    if gone:
        return f"{gone[0]} ended without a message in step {gone[0].step + 1} (last: {gone[0].stage})"
    late = laggard(beats)
    return f"the others wait for {late} (last: {late.stage})" if late else None


def _last_sign(output: Path, beats: Sequence[Heartbeat]) -> float | None:
    signs = [beat.time for beat in beats]
    metrics = output / "metrics.jsonl"
    if metrics.is_file():
        signs.append(metrics.stat().st_mtime)
    return max(signs, default=None)


def _seconds_per_step(rows: Sequence[dict[str, Any]]) -> list[float]:
    """The lengths of the last steps, from the tokens that each had and their speed."""
    recent = rows[-_NUM_ROWS - 1 :]
    return [
        (row["tokens"] - before["tokens"]) / row["tokens_per_second"]
        for before, row in pairwise(recent)
        if _number(row, "tokens_per_second") and _number(row, "tokens") and _number(before, "tokens")
    ]


def _speed(rows: Sequence[dict[str, Any]]) -> float | None:
    speeds = [speed for row in rows[-_NUM_ROWS:] if (speed := _number(row, "tokens_per_second"))]
    return statistics.median(speeds) if speeds else None


def _last(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    return next((value for row in reversed(rows) if (value := _number(row, name)) is not None), None)


def _number(row: dict[str, Any], name: str) -> float | None:
    value: Any = row.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None
