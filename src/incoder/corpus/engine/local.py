"""The executor of one machine: a process for each task, a fixed number of them at a time.

datatrove's own executor keeps a pool, which waits forever for a task whose process was killed. This one waits
for the exit of processes: the exit status says which task failed and how, and frees all its memory.
"""

import errno
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection, forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from datatrove.executor.base import PipelineExecutor

_FULL_DISK = 28  # the exit status of a task for which the disk was full: ENOSPC

_PRELOADED = [
    *(f"incoder.corpus.stages.{stage}" for stage in ("read", "write", "encode")),
    "incoder.corpus.engine.local",
]


class LocalExecutor(PipelineExecutor):  # type: ignore[misc] # datatrove has no types
    """Runs the tasks that are not marked as completed in the logging folder."""

    def __init__(self, pipeline: Sequence[Any], *, tasks: int, workers: int, logging_dir: str) -> None:
        super().__init__(list(pipeline), logging_dir)
        self._tasks, self._workers = tasks, workers
        self.crashed: dict[int, str] = {}
        self.full_disk: set[int] = set()  # tasks for which the disk was full, even for a note that says so

    @property
    def world_size(self) -> int:
        return self._tasks

    def get_distributed_env(self, node_rank: int = -1) -> dict[str, str]:  # noqa: ARG002 - datatrove's
        names = ("node_ips", "cpus_per_task", "mem_per_cpu", "gpus_on_node", "executor")
        return {f"datatrove_{name}": "local" for name in names}

    def run(self) -> None:
        """Run all tasks. One that crashes runs once more, alone; after that `crashed` has the reason.

        A crash is the end of a process from outside, for example for lack of memory. After an error in a task
        no other task is started.
        """
        tasks = self.get_incomplete_ranks()
        if tasks:
            crashed = self._run_side_by_side(tasks, self._workers)
            self.crashed = self._run_side_by_side(sorted(crashed), 1) if crashed else {}

    def _run_side_by_side(self, tasks: Sequence[int], num_workers: int) -> dict[int, str]:
        waiting, running = deque(tasks), dict[int, tuple[int, ForkServerProcess]]()
        crashed = dict[int, str]()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        with _interrupts_ignored():
            forkserver.ensure_running()
        try:
            while waiting or running:
                while waiting and len(running) < num_workers:
                    task = waiting.popleft()
                    process = context.Process(target=_run_task, args=(self, task), daemon=True)
                    with _without_main_module():
                        process.start()
                    running[process.sentinel] = task, process
                for sentinel in connection.wait(list(running)):
                    assert isinstance(sentinel, int)
                    task, process = running.pop(sentinel)
                    process.join()
                    if process.exitcode in (1, _FULL_DISK):
                        waiting.clear()
                        if process.exitcode == _FULL_DISK:
                            self.full_disk.add(task)
                    elif process.exitcode:
                        crashed[task] = _name_of(process.exitcode)
        finally:
            for _, process in running.values():
                process.kill()
            for _, process in running.values():
                process.join()
        return crashed


def _run_task(executor: LocalExecutor, task: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process handles interrupts
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - until the end; the log has all that is said
    try:
        executor._run_for_rank(task, local_rank=1)
    except Exception as error:  # noqa: BLE001 - it is in the log, and the step noted what it was
        sys.exit(_FULL_DISK if _is_full_disk(error) else 1)


def _is_full_disk(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _name_of(exit_code: int) -> str:
    if exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    return f"ended with status {exit_code}"


@contextmanager
def _without_main_module() -> Iterator[None]:
    """Keep processes started in this block from importing the main program.

    No task needs it, importing it can take longer than the task, and a script without a guard for `__main__`
    would run once more in every worker.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started in this block ignore Ctrl-C from their first moment."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
