"""Put finished runs into the package as the embedded model `mini`, with its model card.

    python recipes/mini/embed.py --work ~/.cache/incoder/mini \\
        --runs ~/.cache/incoder/mini/{run,run-fills,run-lead} \\
        --results runs/eval/infill/results.json runs/eval/left/results.json

Copies the last one's model folder, draws the losses of all, and fills MODEL_CARD.md with what the files of
their work say: the corpus report (data by project and licence), the resolved recipes, the metrics, and
results of `incoder eval`.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from incoder.config import load_recipe
from incoder.files import make_folder, write_text
from incoder.inference.catalogue import EMBEDDED, describe_model
from incoder.model.checkpoint import load_config
from incoder.training.metrics import plot_losses, read_metrics
from incoder.training.recipe import TrainingRecipe

TEMPLATE = Path(__file__).with_name("MODEL_CARD.md")
SMALL = 500_000  # bytes; smaller projects share one row of the table for each licence


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="the folder that `make mini` works in")
    parser.add_argument(
        "--runs",
        type=Path,
        nargs="+",
        required=True,
        help="the finished runs, each from the weights of the last",
    )
    parser.add_argument("--results", type=Path, nargs="+", required=True, help="results.json of evaluations")
    arguments = parser.parse_args()

    target = make_folder(EMBEDDED / "mini")
    for file in (arguments.runs[-1] / "model").iterdir():
        shutil.copyfile(file, target / file.name)
    recipes = [load_recipe(TrainingRecipe, run / "recipe.toml") for run in arguments.runs]
    metrics = _joined([read_metrics(run / "metrics.jsonl") for run in arguments.runs])
    plot_losses(metrics, target / "loss.png")
    last_held_out = [row for row in metrics if "validation_loss" in row][-1]
    report = json.loads((arguments.work / "corpus" / "report.json").read_text(encoding="utf-8"))
    info = describe_model("mini")
    assert info.num_parameters is not None, "the weights of a run are safetensors"
    card = TEMPLATE.read_text(encoding="utf-8").format(
        num_parameters=f"{info.num_parameters / 1e6:.1f}",
        context_length=info.context_length,
        vocab_size=f"{info.vocab_size:,}",
        num_layers=load_config(target).num_layers,
        tokens=f"{metrics[-1]['tokens'] / 1e6:.0f}",
        training=_training_table(recipes),
        longest_window=recipes[-1].training.phases[-1].window,
        validation_loss=f"{last_held_out['validation_loss']:.2f}",
        bits_per_byte=f"{last_held_out['validation_bits_per_byte']:.2f}",
        corpus_megabytes=f"{report['splits']['train']['num_bytes'] / 1e6:.0f}",
        data=_data_table(report["projects"]),
        quality=_quality_table(arguments.results),
    )
    write_text(target / "README.md", card)


def _joined(runs: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The metrics of runs that follow each other, `tokens` counted from the first one's start."""
    rows: list[dict[str, Any]] = []
    for run in runs:
        before = rows[-1]["tokens"] if rows else 0
        rows += [{**row, "tokens": before + row["tokens"]} for row in run]
    return rows


def _training_table(recipes: list[TrainingRecipe]) -> str:
    rows = [
        "| part | steps | tokens a step | windows | rates: Muon, AdamW | spans | of lines | lead | plain |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for number, recipe in enumerate(recipes, start=1):
        training, masking, optimizer = recipe.training, recipe.masking, recipe.optimizer
        windows = ", then ".join(str(phase.window) for phase in training.phases)
        rows.append(
            f"| {number} | {training.steps:,} | {training.tokens_per_step:,} | {windows} "
            f"| {optimizer.muon_lr:g}, {optimizer.lr:g} | {masking.span_counts}, {masking.mean_spans:g} "
            f"| {masking.line_span_rate:.0%} | {masking.num_lead_lines} | {masking.plain_rate:.0%} |"
        )
    return "\n".join(rows)


def _data_table(projects: dict[str, dict[str, Any]]) -> str:
    rows = ["| project | licence | split | MB |", "|---|---|---|---|"]
    small: dict[tuple[str, str], list[int]] = {}
    for name, project in sorted(projects.items(), key=lambda item: -item[1]["num_bytes"]):
        licence, split, num_bytes = project["licence"], project["split"], project["num_bytes"]
        if num_bytes < SMALL:
            small.setdefault((licence, split), []).append(num_bytes)
            continue
        rows.append(f"| {name} {project['version']} | {licence} | {split} | {num_bytes / 1e6:.1f} |")
    for (licence, split), sizes in sorted(small.items()):
        rows.append(f"| {len(sizes)} smaller ones | {licence} | {split} | {sum(sizes) / 1e6:.1f} |")
    return "\n".join(rows)


def _quality_table(results: list[Path]) -> str:
    rows = [
        "| benchmark | method | pass rate (95 % interval) | exact match | tasks |",
        "|---|---|---|---|---|",
    ]
    for path in results:
        result = json.loads(path.read_text(encoding="utf-8"))
        metrics = result["metrics"]
        low, high = metrics["pass_rate_interval"]
        rows.append(
            f"| {result['benchmark']} | {result['method']} | {metrics['pass_rate']:.1%} "
            f"({low:.1%}–{high:.1%}) | {metrics['exact_match']:.1%} | {metrics['num_tasks']:,} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
