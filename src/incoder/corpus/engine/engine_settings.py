"""Where a recipe runs: the schema of `[engine]`. Nothing here changes the corpus."""

import os
from typing import Literal

from pydantic import PositiveInt

from incoder.config import Recipe


class SlurmSettings(Recipe):
    """The options of `sbatch` for each task; `setup` is a line of shell that runs before it."""

    partition: str = "main"
    qos: str = "normal"
    time: str = "24:00:00"
    memory_gb: PositiveInt = 4
    setup: str = ""


class EngineSettings(Recipe):
    """The executor, and the number of parallel tasks: by default, the cores that this process may use.

    Ray and Slurm need the sources, the output and this Python environment on a file system that all machines
    share. Ray joins the cluster of `RAY_ADDRESS`, or starts one on this machine.
    """

    executor: Literal["local", "ray", "slurm"] = "local"
    workers: PositiveInt | None = None
    slurm: SlurmSettings = SlurmSettings()

    @property
    def num_workers(self) -> int:
        return self.workers or num_usable_cores()


def num_usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
