"""Makes single-line holes of MBPP's programs, in the format of HumanEval's, to calibrate decoding on.

    python recipes/mini/mbpp_lines.py MBPP_JSONL FOLDER --limit 300

One line of each program is missing; the program's tests decide. `incoder eval humaneval-single-line --data
FOLDER` judges a model on them. Nothing that docs/mini.md reports is measured on them.
"""

import argparse
import gzip
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "HumanEval-SingleLineInfilling.jsonl.gz"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    problems = [json.loads(line) for line in arguments.data.read_text(encoding="utf-8").splitlines()]
    chosen = rng.sample(problems, min(arguments.limit, len(problems)))
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(arguments.folder / NAME, "wt", encoding="utf-8") as file:
        for problem in chosen:
            file.write(json.dumps(hole(problem, rng)) + "\n")


def hole(problem: Mapping[str, Any], rng: random.Random) -> Mapping[str, Any]:
    """A row with one line of the program missing; the task's sentence is a docstring above it."""
    code = problem["code"].replace("\r\n", "\n").rstrip() + "\n"
    lines = code.splitlines(keepends=True)
    number = rng.choice([index for index, line in enumerate(lines) if line.strip()])
    tests = [*filter(None, [problem["test_setup_code"]]), *problem["test_list"]]
    body = "".join(f"    {line}\n" for test in tests for line in test.splitlines())
    return {
        "task_id": f"SingleLineInfilling/MBPP/{problem['task_id']}/L{number}",
        "entry_point": "print",
        "prompt": f'"""{problem["text"]}"""\n\n' + "".join(lines[:number]),
        "suffix": "".join(lines[number + 1 :]),
        "canonical_solution": lines[number],
        "test": f"def check(_):\n{body}",
    }


if __name__ == "__main__":
    main()
