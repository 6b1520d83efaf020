"""The paper's ablation of objectives (Table 7, in kind): three models on equal tokens, compared.

    python recipes/ablation/run.py --output runs/ablation [--set training.steps=600] [--holes 400]

Causal masking, left to right, and infills alone (both sides of each span are seen, and nothing is learnt left
to right) differ in two settings and share corpus, tokens, seed and everything else. Each is judged on
held-out lines: as infills, and left to right after the same prefix. Differences to causal masking are paired
line by line, and their intervals resample files. Run again after an interruption, it goes on.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from incoder.config import load_recipe
from incoder.evaluation.benchmark import INFILL, LEFT_TO_RIGHT, Task
from incoder.evaluation.methods import answer, benchmark_request
from incoder.evaluation.statistics import ratio_interval
from incoder.files import make_folder, write_text
from incoder.finetuning.holes import held_out_rows, held_out_tasks
from incoder.inference.infill_model import InfillModel
from incoder.inference.models.loading import load
from incoder.training.loop import train
from incoder.training.recipe import TrainingRecipe

HERE = Path(__file__).resolve().parent
OBJECTIVES = {
    "causal masking": (),
    "left to right": ("masking.plain_rate=1.0",),
    "infills alone": ("masking.infills_alone=true",),
}
MEASURES = ("infill: loss", "infill: exact match", "left to right: loss", "left to right: exact match")
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--recipe", type=Path, default=HERE / "train.toml")
    parser.add_argument("--holes", type=int, default=400)
    parser.add_argument("--context", type=int, default=800, help="characters before a held-out line")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    output: Path = given.output
    make_data(output)
    rows = held_out_rows(output / "corpus", num_holes=given.holes, context=given.context, seed=0)
    tasks = held_out_tasks(output / "holes.jsonl", rows)
    paths = (f"tokens={output}/corpus/tokens", f"tokenizer={output}/tokenizer")
    judged = {}
    for name, settings in OBJECTIVES.items():
        folder = output / name.replace(" ", "-")
        recipe = load_recipe(TrainingRecipe, given.recipe, [*paths, *given.overrides, *settings])
        result = train(recipe, folder, resume=True, on_note=print)
        print(f"{name}: {result.steps_done} steps", file=sys.stderr, flush=True)
        judged[name] = judge(load(result.model_folder), tasks, folder / "lines.jsonl")
    page = table(judged, f"{recipe.training.steps * recipe.training.tokens_per_step:,}")
    write_text(output / "table.md", page)
    print(page)


def make_data(output: Path) -> None:
    """Build the corpus of recipes/tiny, learn its vocabulary, and encode it, unless that is done."""
    tiny = HERE.parent / "tiny"
    corpus, tokenizer = output / "corpus", output / "tokenizer"
    steps = {
        corpus / "report.json": ("corpus", "build", tiny / "corpus.toml", "--output", corpus),
        tokenizer / "tokenizer.json": (
            *("tokenizer", "train", tiny / "tokenizer.toml"),
            *("--corpus", corpus, "--output", tokenizer),
        ),
        corpus / "tokens" / "meta.json": ("corpus", "encode", corpus, "--tokenizer", tokenizer),
    }
    make_folder(output)
    for made, command in steps.items():
        if not made.exists():
            subprocess.run([sys.executable, "-m", "incoder", *map(str, command)], check=True)


def judge(model: InfillModel, tasks: Sequence[Task], path: Path) -> dict[str, Row]:
    """Return what each line costs and whether it is written right, by both methods; kept in a file."""
    if path.exists():
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {row["task_id"]: row for row in rows}
    request = benchmark_request(max_new_tokens=64, num_candidates=1)
    judged = {}
    for task in tasks:
        prefix, suffix = task.prompt_for(INFILL).parts
        file = task.prompt_for(INFILL).path
        [infill] = model.score_infills([prefix, suffix], [task.gold], path=file)
        before, after = model.score_texts([prefix, prefix + task.gold], path=file)
        row: Row = {"task_id": task.key, "problem": task.problem}
        row["infill: loss"] = (-infill.total_logprob, infill.num_tokens)
        row["left to right: loss"] = (
            before.total_logprob - after.total_logprob,
            after.num_tokens - before.num_tokens,
        )
        for label, method in (("infill", INFILL), ("left to right", LEFT_TO_RIGHT)):
            completion = answer(task, method, model, request)
            row[f"{label}: exact match"] = (float(completion.strip() == task.gold.strip()), 1)
        judged[task.key] = row
    write_text(path, "".join(json.dumps(row) + "\n" for row in judged.values()))
    return judged


def table(judged: dict[str, dict[str, Row]], num_tokens: str) -> str:
    """Return the table: each measure with its interval, and the paired difference to causal masking."""
    first = next(iter(judged))
    others = [name for name in judged if name != first]
    num_lines = len(judged[first])
    lines = [
        f"{num_tokens} tokens for each objective; {num_lines} held-out lines; losses in nats a token, 95 % "
        "intervals by file",
        "",
        "| " + " | ".join(["measure", *judged, *(f"{name} − {first}" for name in others)]) + " |",
        "|---" * (2 * len(judged)) + "|",
    ]
    for measure in MEASURES:
        base = {task: row[measure] for task, row in judged[first].items()}
        cells = [cell(measure, rows, {}) for rows in judged.values()]
        cells += [cell(measure, judged[name], base) for name in others]
        lines.append(f"| {measure} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cell(measure: str, rows: dict[str, Row], base: dict[str, list[float]]) -> str:
    """Return a mean with its interval, a rate in percent; with a `base`, the mean difference to it."""
    values = [row[measure][0] - base.get(task, [0.0])[0] for task, row in rows.items()]
    sizes = [float(row[measure][1]) for row in rows.values()]
    interval = ratio_interval(values, sizes, [row["problem"] for row in rows.values()])
    scale, digits = (100.0, 1) if measure.endswith("match") else (1.0, 3)
    shown = f"{scale * sum(values) / sum(sizes):.{digits}f}"
    if interval is None:
        return shown
    return f"{shown} ({scale * interval[0]:.{digits}f} to {scale * interval[1]:.{digits}f})"


if __name__ == "__main__":
    main()
