"""`incoder train --processes N`: the same command in several processes on this machine."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from incoder.cli.console import print_note
from incoder.errors import IncoderError


def launch_training(
    arguments: Sequence[str],
    output: Path,
    *,
    num_processes: int,
    max_restarts: int,
    resume: bool,
    device: str | None,
) -> None:
    """Run `incoder train` with these arguments in each process, again after one was lost.

    Raises:
        IncoderError: the folder holds a run and `resume` is False, there are fewer GPUs than processes, or a
            process failed.
        typer.Exit: the run was stopped.
    """
    import socket

    from incoder.training.launch import launch
    from incoder.training.status import newest_checkpoint

    if not resume and newest_checkpoint(output) is not None:
        raise IncoderError(f"{output} already holds a run; go on with --resume, or name another --output")
    uses_gpus = _check_gpus(num_processes, device)
    host = socket.gethostname()
    on_device = ["--device", device] if device else []
    status = launch(
        [sys.executable, "-m", "incoder", "train", *arguments, "--resume", *on_device],
        output,
        num_processes=num_processes,
        max_restarts=max_restarts,
        environment=_threads(num_processes),
        names=lambda rank: (
            f"process {rank} of {num_processes} ({host}{f', GPU {rank}' if uses_gpus else ''})"
        ),
        on_note=print_note,
    )
    if status:
        raise typer.Exit(status)


def _check_gpus(num_processes: int, device: str | None) -> bool:
    """Whether each process has a GPU.

    Raises:
        IncoderError: some have none.
    """
    if device is not None and not device.startswith("cuda"):
        return False
    import torch

    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if num_gpus and num_gpus < num_processes:
        raise IncoderError(
            f"{num_processes} processes need as many GPUs, and PyTorch sees {num_gpus}; "
            "lower --processes, or train on --device cpu"
        )
    return num_gpus > 0


def _threads(num_processes: int) -> dict[str, str]:
    """The processor's cores divided among the processes, unless the user has set the number of threads."""
    if "OMP_NUM_THREADS" in os.environ:
        return {}
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"OMP_NUM_THREADS": str(max(1, available // num_processes))}
