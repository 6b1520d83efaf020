"""`incoder train --status DIR`: how a run is going, as text or as JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from incoder.cli.console import result_console, write_result

if TYPE_CHECKING:
    from incoder.training.status import RunStatus

_STATES = {
    "running": "is running",
    "waiting": "is in a step that takes unusually long",
    "silent": "has given no sign for so long that it seems dead",
    "ended": "has ended before its last step; --resume continues it",
    "stopped": "was stopped; --resume continues it",
    "finished": "is finished",
}


def print_status(output: Path, *, as_json: bool) -> None:
    """Print how the run in a folder is going.

    Raises:
        IncoderError: the folder holds no run, or a file cannot be read.
    """
    from incoder.training.status import run_status

    status = run_status(output)
    if as_json:
        write_result(json.dumps(asdict(status)) + "\n")
        return
    console = result_console(soft_wrap=True)
    for line in _lines(output, status):
        console.print(line, markup=False, highlight=False)


def _lines(output: Path, status: "RunStatus") -> list[str]:
    lines = [f"the run in {output} {_STATES[status.state]}"]
    if status.problem:
        lines.append(status.problem)
    share = status.steps_done / status.num_steps
    lines.append(
        f"step {status.steps_done} of {status.num_steps} ({share:.0%})"
        + _part(", loss {:.3f}", status.loss)
        + _part(", held out {:.3f}", status.validation_loss)
        + _part(", {:,.0f} tokens/s", status.tokens_per_second)
        + (f", {duration(status.seconds_left)} left" if status.seconds_left is not None else "")
    )
    if status.checkpoint_step is None:
        lines.append("no checkpoint yet")
    else:
        lines.append(
            f"checkpoint of step {status.checkpoint_step}, {duration(status.checkpoint_age or 0)} ago"
        )
    if status.seconds_since_sign is not None and status.state in ("running", "waiting", "silent"):
        lines.append(f"last sign {duration(status.seconds_since_sign)} ago")
    if len(status.processes) > 1:
        lines += [
            f"  {beat}: step {beat.step}, {beat.stage}"
            + (" – the others wait" if beat.rank == status.late else "")
            for beat in status.processes
        ]
    return lines


def _part(template: str, value: float | None) -> str:
    return "" if value is None else template.format(value)


def duration(seconds: float) -> str:
    """Return a duration in its two largest units.

    >>> duration(42), duration(200), duration(7260), duration(200_000)
    ('42 s', '3 min', '2 h 1 min', '2 d 7 h')
    """
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86_400)
    if minutes < 1:
        return f"{seconds:.0f} s"
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if days < 1 else f"{days} d {hours % 24} h"
