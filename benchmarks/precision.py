"""What smaller weights cost in quality, on HumanEval: bits per byte and single lines, each beside fp32.

Bits per byte are those of the 164 solved problems, left to right. Infills are greedy; *same* is the share of
completions that equal those in fp32, *exact* the share that equal the line that was cut out.

    python benchmarks/precision.py --data human-eval-infilling/data
    python benchmarks/precision.py --data human-eval-infilling/data --model facebook/incoder-1B --limit 200
"""

import argparse
import math
from pathlib import Path

import incoder
from incoder.evaluation import benchmark_files
from incoder.evaluation.benchmark import GOLD, INFILL, Task
from incoder.evaluation.catalogue import BENCHMARKS
from incoder.evaluation.methods import answer, benchmark_request
from incoder.inference.infill_model import InfillModel

SINGLE_LINE = BENCHMARKS["humaneval-single-line"]
PRECISIONS = ("float32", "bfloat16", "float16", "int8", "int4")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="OpenAI's file of single lines, or its folder"
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--limit", type=int, default=1033, help="number of lines, evenly spaced")
    arguments = parser.parse_args()

    path = benchmark_files.find(SINGLE_LINE, arguments.data)
    programs = {
        task.problem: task.full_text(task.baselines[GOLD])
        for task in benchmark_files.load_tasks(path, SINGLE_LINE)
    }
    chosen = benchmark_files.load_tasks(path, SINGLE_LINE, arguments.limit)
    gold = [task.baselines[GOLD] for task in chosen]
    print(f"{'':10} {'bits/byte':>10} {'against fp32':>13} {'same':>7} {'exact':>7}   of {len(chosen)} lines")
    reference_bits, reference_infills = 0.0, list[str]()
    for precision in PRECISIONS:
        model = incoder.load(arguments.model, dtype=precision)
        bits, infills = _bits_per_byte(model, list(programs.values())), _infills(model, chosen)
        reference_bits, reference_infills = reference_bits or bits, reference_infills or infills
        same, exact = _share(infills, reference_infills), _share(infills, gold)
        print(
            f"{precision:10} {bits:10.4f} {bits - reference_bits:+13.4f} {same:7.1%} {exact:7.1%}", flush=True
        )


def _infills(model: InfillModel, tasks: list[Task]) -> list[str]:
    request = benchmark_request(max_new_tokens=SINGLE_LINE.max_new_tokens)
    return [answer(task, INFILL, model, request) for task in tasks]


def _bits_per_byte(model: InfillModel, texts: list[str]) -> float:
    scores = model.score_texts(texts, path="solution.py")
    num_bytes = sum(len(text.encode()) for text in texts)
    return -sum(score.total_logprob for score in scores) / num_bytes / math.log(2)


def _share(infills: list[str], others: list[str]) -> float:
    return sum(infill == other for infill, other in zip(infills, others, strict=True)) / len(infills)


if __name__ == "__main__":
    main()
