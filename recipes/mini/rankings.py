"""How often the best of several infills passes, by each ranking of the same candidates.

    python recipes/mini/rankings.py draw humaneval-single-line --data DATA --output drawn.jsonl
    python recipes/mini/rankings.py report humaneval-single-line --data DATA --output drawn.jsonl

`draw` writes for each task the candidates in the order in which they were drawn, the greedy one first, and
ranks them by the full text; it continues where it stopped. Candidate i does not depend on the number of
candidates, so the first n of them are what `num_candidates=n` draws, and one file answers for every number.
"""

import argparse
import json
from operator import itemgetter
from pathlib import Path
from typing import Any

import incoder
from incoder.evaluation import benchmark_files
from incoder.evaluation.benchmark import INFILL, Benchmark, Task
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.evaluation.execution import Limits, run_programs
from incoder.evaluation.statistics import cluster_bootstrap_interval, paired_difference
from incoder.inference.syntax_errors.added_errors import adds_errors
from incoder.inference.syntax_errors.unbound_names import leave_unbound
from incoder.request import InfillRequest
from incoder.results import TextPiece

NUMBERS = (1, 2, 3, 5, 8)


def draw(tasks: list[Task], model_name: str, template: InfillRequest, output: Path) -> None:
    """Add the candidates of every task that `output` lacks."""
    done = {row["task_id"] for row in read_rows(output)} if output.exists() else set()
    model = incoder.load(model_name)
    with output.open("a", encoding="utf-8") as file:
        for number, task in enumerate(tasks, start=1):
            if task.key in done:
                continue
            prompt = task.prompt_for(INFILL)
            request = template.for_parts(prompt.parts, stop=prompt.stop, path=prompt.path)
            texts = [""] * request.num_sequences

            def keep(piece: TextPiece, texts: list[str] = texts) -> None:
                texts[piece.candidate] += piece.text

            result = model.run(request, on_text=keep)
            row = {
                "task_id": task.key,
                "temperature": request.sampling.temperature,
                "greedy": texts[0],
                "drawn": texts,
                "candidates": [
                    {"infill": one.infills[0], "mean": one.logprob, "total": one.total_logprob}
                    for one in result.candidates
                ],
            }
            file.write(json.dumps(row) + "\n")
            file.flush()
            if number % 50 == 0:
                print(f"{number} of {len(tasks)}", flush=True)


def report(tasks: list[Task], headline: str, output: Path, num_workers: int) -> None:
    """Print the rate of greedy infills, and of the best of the first n by each ranking, with intervals."""
    rows = {row["task_id"]: row for row in read_rows(output)}
    tasks = [task for task in tasks if task.key in rows]
    rates = judged(tasks, rows, headline, num_workers)
    problems = [task.problem for task in tasks]
    greedy = [rates[task.key, rows[task.key]["greedy"]] for task in tasks]
    print(f"{len(tasks)} tasks; greedy {with_interval(greedy, problems)}")
    most = max(len(row["drawn"]) for row in rows.values())
    for number in (one for one in NUMBERS if one <= most):
        found = [best_of(task, rows[task.key], number, rates) for task in tasks]
        for name in found[0]:
            values = [one[name] for one in found]
            difference, interval = paired_difference(values, greedy, problems)
            low, high = interval or (float("nan"), float("nan"))
            print(
                f"{number} by {name}: {with_interval(values, problems)}, "
                f"greedy {100 * difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
            )


def judged(
    tasks: list[Task], rows: dict[str, dict[str, Any]], headline: str, num_workers: int
) -> dict[tuple[str, str], float]:
    """The rate of each infill of each task; programs run once."""
    infills = [
        (task, infill)
        for task in tasks
        for row in [rows[task.key]]
        for infill in {row["greedy"], *(one["infill"] for one in row["candidates"])}
    ]
    programs = {
        (task.key, infill): task.programs(task.completion([infill], INFILL)).get(headline)
        for task, infill in infills
    }
    chosen = list(dict.fromkeys(one for one in programs.values() if one is not None))
    verdicts = run_programs(chosen, limits=Limits(seconds=3.0), num_workers=num_workers)
    passed = {program: float(one.passed) for program, one in zip(chosen, verdicts, strict=True)}
    return {
        (task.key, infill): passed[program]
        if (program := programs[task.key, infill]) is not None
        else float(task.rates(task.completion([infill], INFILL))[headline] or 0)
        for task, infill in infills
    }


def best_of(
    task: Task, row: dict[str, Any], number: int, rates: dict[tuple[str, str], float]
) -> dict[str, float]:
    """The rate of the best of the first candidates, by ranking; of the best one that there is, by oracle."""
    drawn = set(row["drawn"][:number])
    candidates = [one for one in row["candidates"] if one["infill"] in drawn]
    prompt = task.prompt_for(INFILL)
    adds = adds_errors(prompt.parts, [[one["infill"]] for one in candidates], prompt.path)
    unbound = leave_unbound(prompt.parts, [[one["infill"]] for one in candidates], prompt.path)
    unerring = [one for one, is_bad in zip(candidates, adds, strict=True) if not is_bad]
    standings = list(zip(adds, unbound, strict=True))
    chosen = {
        "mean": max(candidates, key=itemgetter("mean")),
        "total": max(candidates, key=itemgetter("total")),
        "full text": candidates[0],
        "syntax, then mean": max(unerring, key=itemgetter("mean")),
        "syntax, then full text": unerring[0],
        "syntax, names, then full text": candidates[standings.index(min(standings))],
    }
    found = {name: rates[task.key, one["infill"]] for name, one in chosen.items()}
    return found | {"oracle": max(rates[task.key, one["infill"]] for one in candidates)}


def with_interval(values: list[float], problems: list[str]) -> str:
    low, high = cluster_bootstrap_interval(values, problems) or (float("nan"), float("nan"))
    return f"{100 * sum(values) / len(values):.1f} % ({100 * low:.1f}-{100 * high:.1f})"


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=["draw", "report"])
    parser.add_argument("benchmark", choices=sorted(BENCHMARKS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--num-candidates", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument(
        "--branches", action="store_true", help="others branch off the greedy one, none is drawn"
    )
    parser.add_argument("--limit", type=int)
    parser.add_argument("--num-workers", type=int, default=2, help="programs that run at the same time")
    arguments = parser.parse_args()
    benchmark: Benchmark = BENCHMARKS[arguments.benchmark]
    path = benchmark_files.find(benchmark, arguments.data)
    tasks = benchmark_files.load_tasks(path, benchmark, arguments.limit)
    template = InfillRequest.from_settings(
        num_candidates=arguments.num_candidates,
        temperature=arguments.temperature,
        max_new_tokens=benchmark.max_new_tokens,
        rank_by="full-text",
        greedy_first=True,
        branches=arguments.branches,
    )
    if arguments.stage == "draw":
        draw(tasks, arguments.model, template, arguments.output)
    else:
        report(tasks, benchmark.headline, arguments.output, arguments.num_workers)


if __name__ == "__main__":
    main()
