"""Programs a second in the sandbox, beside one bare interpreter for each program and no walls at all.

    python benchmarks/execution.py --data human-eval/HumanEval.jsonl.gz

Gold solutions of HumanEval with their tests, all of which must pass.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from incoder.evaluation.benchmark_files import find, load_tasks
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.evaluation.execution import Limits, run_programs, sandbox_layers
from incoder.evaluation.programs import Program


def programs_of(data: Path) -> list[Program]:
    benchmark = BENCHMARKS["humaneval"]
    tasks = load_tasks(find(benchmark, data), benchmark)
    programs = [program for task in tasks for program in task.programs(task.baselines["gold"]).values()]
    return [program for program in programs if isinstance(program, Program)]


def in_interpreters(programs: list[Program], num_workers: int) -> None:
    def run(program: Program) -> None:
        source = f"{program.source}\n{program.tests}"
        subprocess.run([sys.executable, "-I", "-S", "-c", source], check=True, capture_output=True)

    with ThreadPoolExecutor(num_workers) as pool:
        list(pool.map(run, programs))


def in_sandbox(programs: list[Program], num_workers: int) -> None:
    verdicts = run_programs(programs, limits=Limits(seconds=10.0), num_workers=num_workers)
    assert all(verdict.passed for verdict in verdicts)


def rate(run: Callable[[list[Program], int], None], programs: list[Program], num_workers: int) -> float:
    start = time.perf_counter()
    run(programs, num_workers)
    return len(programs) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="HumanEval.jsonl.gz, or its folder")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    programs = list(dict.fromkeys(programs_of(options.data)))
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(rate(in_sandbox, programs, options.workers))
        theirs.append(rate(in_interpreters, programs, options.workers))
    best, peer = max(ours), max(theirs)
    print(
        f"{len(programs)} programs, {options.workers} workers, walls: {', '.join(sandbox_layers()) or 'none'}"
    )
    print(f"sandbox {best:.0f} a second, an interpreter each {peer:.0f}: {best / peer:.2f} times as fast")


if __name__ == "__main__":
    main()
