"""Runs a stage on the executor that the settings name, and reports the progress of all workers together."""

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from incoder.corpus.engine.engine_settings import EngineSettings
from incoder.corpus.engine.stage import OnProgress, Stage, TaskStep, note_of
from incoder.errors import IncoderError
from incoder.extras import missing_extra

_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_BETWEEN_QUESTIONS = 10.0  # to Slurm
_QUESTIONS_WITHOUT_JOB = 6  # a shared file system shows a finished task late


def run_stage(
    stage: Stage, folder: Path, settings: EngineSettings, on_progress: OnProgress | None = None
) -> None:
    """Run the unfinished tasks of a stage. `folder` records the finished ones, also for the next run.

    A task that crashes each time is given up if the stage allows it, unless all tasks crash.

    Raises:
        IncoderError: a task failed, or the executor is not installed.
    """
    if not stage.task_bytes:
        return
    home = folder / stage.name
    shutil.rmtree(home / "failures", ignore_errors=True)  # of an earlier run
    executor = _executor(stage, home, settings)
    with _watched(stage, home, on_progress):
        executor.run()
        if settings.executor == "slurm":
            _wait_for_slurm(executor)
    crashed: dict[int, str] = getattr(executor, "crashed", {})  # Ray and Slurm do not say how a process ended
    incomplete = executor.get_incomplete_ranks()
    if full := getattr(executor, "full_disk", None):
        raise IncoderError(
            f"the stage `{stage.name}` failed in task {min(full)}: no space left on the disk of {home}; "
            f"make room, "
            "and the same command goes on from the work so far"
        )
    is_executor_at_fault = len(incomplete) == len(stage.task_bytes)
    for task in incomplete:
        reason = crashed.get(task, "its process ended early")
        if stage.give_up is None or is_executor_at_fault or note_of(home, "failures", task).exists():
            raise IncoderError(_complaint(stage, home, task, reason))
        stage.give_up(task, reason)
        executor.mark_rank_as_completed(task)


def have_done_again(stage: str, folder: Path, tasks: Iterable[int]) -> None:
    """Mark finished tasks of a stage as unfinished, so that they run again."""
    for task in tasks:
        (folder / stage / "completions" / f"{task:05}").unlink(missing_ok=True)


def _executor(stage: Stage, home: Path, settings: EngineSettings) -> Any:
    try:
        from incoder.corpus.engine.local import LocalExecutor
    except ImportError as error:
        raise missing_extra("making a corpus needs datatrove", "corpus") from error
    pipeline, num_tasks = [TaskStep(stage.work, home)], len(stage.task_bytes)
    match settings.executor:
        case "local":
            return LocalExecutor(
                pipeline, tasks=num_tasks, workers=settings.num_workers, logging_dir=str(home)
            )
        case "ray":
            return _ray_executor(pipeline, num_tasks, home, settings)
        case "slurm":
            return _slurm_executor(pipeline, num_tasks, home, settings, stage.name)


def _ray_executor(pipeline: list[TaskStep], num_tasks: int, home: Path, settings: EngineSettings) -> Any:
    try:
        import ray
    except ImportError as error:
        raise missing_extra("executor = 'ray' needs Ray", "ray") from error
    from datatrove.executor.ray import RayPipelineExecutor
    from loguru import logger

    logger.disable("datatrove")  # on this console; the tasks' logs are in the folder
    if not ray.is_initialized():
        ray.init(address=os.environ.get("RAY_ADDRESS"), log_to_driver=False, logging_level=logging.ERROR)
    return RayPipelineExecutor(
        pipeline, tasks=num_tasks, workers=settings.workers or -1, logging_dir=str(home.resolve())
    )


def _slurm_executor(
    pipeline: list[TaskStep], num_tasks: int, home: Path, settings: EngineSettings, name: str
) -> Any:
    if shutil.which("sbatch") is None:
        raise IncoderError('executor = "slurm" needs the command `sbatch`; run this where jobs are submitted')
    from datatrove.executor.slurm import SlurmPipelineExecutor
    from loguru import logger

    logger.disable("datatrove")
    slurm = settings.slurm
    return SlurmPipelineExecutor(
        pipeline,
        tasks=num_tasks,
        workers=settings.workers or -1,
        time=slurm.time,
        partition=slurm.partition,
        qos=slurm.qos,
        mem_per_cpu_gb=slurm.memory_gb,
        env_command=slurm.setup or f"export PATH={Path(sys.executable).parent}:$PATH",
        job_name=f"incoder-{name}",
        logging_dir=str(home.resolve()),
        mail_type="NONE",
        requeue=False,
    )


def _wait_for_slurm(executor: Any) -> None:
    """Wait until all tasks are done, or their job has ended."""
    num_without_job = 0
    while executor.get_incomplete_ranks() and num_without_job < _QUESTIONS_WITHOUT_JOB:
        command = ["squeue", "--noheader", "--jobs", str(executor.job_id)]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        num_without_job = 0 if asked.stdout.strip() else num_without_job + 1
        time.sleep(_SECONDS_BETWEEN_QUESTIONS)


@contextmanager
def _watched(stage: Stage, home: Path, on_progress: OnProgress | None) -> Iterator[None]:
    """Report the progress of the tasks while the block runs, from the notes that they write."""
    if on_progress is None:
        yield
        return
    total, ended = sum(stage.task_bytes), threading.Event()

    def watch() -> None:
        while not ended.wait(_SECONDS_BETWEEN_LOOKS):
            on_progress(stage.name, min(total, _num_bytes_done(stage, home)), total)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    on_progress(stage.name, total, total)


def _num_bytes_done(stage: Stage, home: Path) -> int:
    completions = home / "completions"
    completed = {int(path.name) for path in completions.iterdir()} if completions.is_dir() else set[int]()
    done = sum(stage.task_bytes[task] for task in completed)
    for note in (home / "progress").iterdir():
        task = int(note.name)
        if task not in completed:
            try:
                done += min(int(note.read_text() or 0), stage.task_bytes[task])
            except (OSError, ValueError):
                continue  # the task has just ended, or is writing the note
    return done


def _complaint(stage: Stage, home: Path, task: int, reason: str) -> str:
    note = note_of(home, "failures", task)
    if note.exists():  # it is empty if the disk was full for it, too
        reason = note.read_text() or "its reason could not be written down; the disk may be full"
    log = home / "logs" / f"task_{task:05}.log"
    return f"the stage `{stage.name}` failed in task {task}: {reason}; its log is {log}"
