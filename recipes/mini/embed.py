"""Put a finished run into the package as the embedded model `mini`, with its model card.

    python recipes/mini/embed.py --work ~/.cache/incoder/mini --runs run second \\
        --results runs/eval/*/results.json

Copies the model folder of the last run, draws the losses of all, and fills MODEL_CARD.md with what the files
of its work say: the corpus report (data by project and licence), the resolved recipes, the metrics, and
results of `incoder eval`.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from incoder.config import load_recipe
from incoder.embedded_models import EMBEDDED
from incoder.files import make_folder, write_text
from incoder.inference.models.catalogue import describe_model
from incoder.model.checkpoint import GENERATION_CONFIG, load_config
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
        "--runs", nargs="+", required=True, help="the folders of the finished runs in there, in their order"
    )
    parser.add_argument(
        "--tail-lines",
        type=int,
        help="lines of the prefix that infills begin with (default: as many as in training)",
    )
    parser.add_argument("--results", type=Path, nargs="+", required=True, help="results.json of evaluations")
    arguments = parser.parse_args()

    target = make_folder(EMBEDDED / "mini")
    runs = [arguments.work / run for run in arguments.runs]
    for file in (runs[-1] / "model").iterdir():
        shutil.copyfile(file, target / file.name)
    if arguments.tail_lines is not None:
        generation = json.loads((target / GENERATION_CONFIG).read_text(encoding="utf-8"))
        generation["num_tail_lines"] = arguments.tail_lines
        write_text(target / GENERATION_CONFIG, json.dumps(generation, indent=2) + "\n")
    recipes = [load_recipe(TrainingRecipe, run / "recipe.toml") for run in runs]
    metrics = _joined([read_metrics(run / "metrics.jsonl") for run in runs])
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
        validation_projects=", ".join(
            name for name, project in sorted(report["projects"].items()) if project["split"] == "validation"
        ),
        validation_loss=f"{last_held_out['validation_loss']:.2f}",
        bits_per_byte=f"{last_held_out['validation_bits_per_byte']:.2f}",
        corpus_megabytes=f"{report['splits']['train']['num_bytes'] / 1e6:.0f}",
        data=_data_table(report["projects"]),
        quality=_quality_table(arguments.results),
    )
    write_text(target / "README.md", card)


def _joined(runs: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Join the metrics of runs, each of which started from the model of the one before."""
    joined: list[dict[str, Any]] = []
    for rows in runs:
        steps, tokens = (joined[-1]["step"] + 1, joined[-1]["tokens"]) if joined else (0, 0)
        joined += [{**row, "step": row["step"] + steps, "tokens": row["tokens"] + tokens} for row in rows]
    return joined


def _training_table(recipes: list[TrainingRecipe]) -> str:
    rows = [
        "| steps | tokens a step | windows | rates: Muon, AdamW | spans | of lines | tail | plain |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for recipe in recipes:
        training, masking, optimizer = recipe.training, recipe.masking, recipe.optimizer
        windows = ", then ".join(str(phase.window) for phase in training.phases)
        rows.append(
            f"| {training.steps:,} | {training.tokens_per_step:,} | {windows} "
            f"| {optimizer.muon_lr:g}, {optimizer.lr:g} | {masking.span_counts}, {masking.mean_spans:g} "
            f"| {masking.line_span_rate:.0%} | up to {masking.num_tail_lines} lines "
            f"| {masking.plain_rate:.0%} |"
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
        if not metrics.get("pass_rate_interval"):
            continue
        low, high = metrics["pass_rate_interval"]
        decoding = result["decoding"]
        has_rules = decoding.get("stopping_rules") or decoding.get("edge_rules")  # the latter until 0.1
        method = result["method"] + (", stopping rules" if has_rules else "")
        if decoding["num_candidates"] > 1:
            method += f", {decoding['num_candidates']} candidates"
        rows.append(
            f"| {result['benchmark']} | {method} | {metrics['pass_rate']:.1%} "
            f"({low:.1%}–{high:.1%}) | {metrics['exact_match']:.1%} | {metrics['num_tasks']:,} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
