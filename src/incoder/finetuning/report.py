"""The page of a fine-tuning run, in Markdown: what it gained on held-out code, on what, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from incoder.finetuning.comparison import Interval, Measure
from incoder.finetuning.settings import FineTuning
from incoder.training.recipe import TrainingRecipe

_NUM_EXAMPLES = 3  # of each kind
_MAX_EXAMPLE = 100  # characters


@dataclass(frozen=True, slots=True)
class Example:
    """A hole by its key, with the right infill and the two models' infills."""

    key: str
    gold: str
    before: str
    after: str

    @property
    def was_right(self) -> bool:
        return self.before.strip() == self.gold.strip()

    @property
    def is_right(self) -> bool:
        return self.after.strip() == self.gold.strip()


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the page and the model card say."""

    settings: FineTuning
    recipe: TrainingRecipe
    report: Mapping[str, Any]
    num_tokens: int
    num_files: int
    num_holes: int
    steps: Sequence[Mapping[str, float]]
    times: Mapping[str, Mapping[str, float]]
    device: str
    measures: tuple[Measure, ...]
    forgotten: Measure | None
    examples: Sequence[Example]

    @property
    def names(self) -> str:
        """The names of the folders, without what leads to them."""
        return ", ".join(folder.resolve().name for folder in self.settings.folders)

    @property
    def num_trained_tokens(self) -> int:
        return int(self.steps[-1]["tokens"]) if self.steps else 0


def page(facts: Facts) -> str:
    """Return the page."""
    sections = [
        f"# {facts.settings.model}, fine-tuned on {facts.names}\n",
        verdict(facts),
        measures_table(facts),
        "![Rates before and after, and the held-out loss](report.png)\n",
        "## The data\n",
        *data_lines(facts),
        dropped_table(facts.report),
        "## The training\n",
        *training_lines(facts),
        *_example_sections(facts.examples),
    ]
    return "\n".join(sections)


def verdict(facts: Facts) -> str:
    """Say in a sentence whether exact match rose or fell, or that the holes cannot show it."""
    exact = facts.measures[0]
    holes = f"{facts.num_holes:,} held-out lines of {facts.num_files:,} files"
    change = f"from {exact.before:.1%} to {exact.after:.1%}"
    if exact.difference_interval is None:
        return f"On {holes}, exact match went {change}; the files are too few for an interval.\n"
    if not exact.is_clear:
        return (
            f"On {holes}, exact match went {change}. The interval of the difference contains 0: "
            "these holes cannot show whether fine-tuning helped.\n"
        )
    return f"On {holes}, exact match {'rose' if exact.difference > 0 else 'FELL'} {change}.\n"


def measures_table(facts: Facts) -> str:
    """Return the table of all measures, each with its 95 % intervals."""
    rows = ["| measure | before | after | difference (95 % interval) |", "|---|---|---|---|"]
    measures = [*facts.measures, *([facts.forgotten] if facts.forgotten else [])]
    for one in measures:
        before, after = _value(one, one.before), _value(one, one.after)
        before, after = before + _shown(one, one.before_interval), after + _shown(one, one.after_interval)
        interval = _shown(one, one.difference_interval, signed=True)
        rows.append(
            f"| {one.name} | {before} | {after} | **{_value(one, one.difference, signed=True)}**{interval} |"
        )
    notes = (
        "Infills are greedy, with the stopping rules of `incoder fill`, and compared without the white space "
        "around them; the loss is that of the right infill with its end, in nats a token. Differences are "
        "paired hole by hole, and intervals resample files."
    )
    if facts.forgotten:
        notes += " HumanEval, which is not your code, shows how much the model forgot."
    return "\n".join([*rows, "", notes, ""])


def data_lines(facts: Facts) -> list[str]:
    """Describe the training and held-out data."""
    splits = facts.report["splits"]
    train, held_out = splits["train"], splits["validation"]
    licences = ", ".join(facts.settings.licences) or "not asked for: the code is taken to be your own"
    num_dropped = sum(count["num_files"] for count in facts.report["dropped"].values())
    return [
        f"- trained on {train['num_documents']:,} files, {train['num_bytes'] / 1e6:.1f} MB, "
        f"{facts.num_tokens:,} tokens",
        f"- held out: {held_out['num_documents']:,} files, {held_out['num_bytes'] / 1e6:.1f} MB; files of "
        "one name are on one side, and no file has a near copy on the other; a quarter of them chooses the "
        "weights, the others have the holes",
        "- e-mail addresses, public IP addresses and keys were replaced",
        f"- licences: {licences}",
        f"- left out: {num_dropped:,} files and folders, each with its reason in `corpus/drops.parquet`\n",
    ]


def training_lines(facts: Facts) -> list[str]:
    """Say how it was trained, how long it took, and which weights were kept."""
    settings, recipe = facts.settings, facts.recipe
    kind = (
        "all weights"
        if settings.full
        else f"a LoRA adapter of rank {settings.rank}, alpha {settings.scale:g}"
    )
    best = _best_step(facts.steps)
    lines = [
        f"- trained: {kind}; AdamW at {recipe.optimizer.lr:g}; seed {settings.seed}",
        f"- {len(facts.steps):,} of at most {recipe.training.steps:,} steps, "
        f"{facts.num_trained_tokens:,} tokens, on {facts.device}",
        f"- kept: the weights of step {best:,}, which have the lowest loss in infills on held-out files that "
        "have no holes above",
    ]
    for name, label in (("training", "training"), ("before", "judging before"), ("after", "judging after")):
        if name in facts.times:
            lines.append(f"- {label}: {_minutes(facts.times[name])}")
    forgotten = [facts.times[name] for name in facts.times if name.startswith("forgotten")]
    if forgotten:
        total = {key: sum(one[key] for one in forgotten) for key in ("elapsed_s", "cpu_s")}
        lines.append(f"- HumanEval, before and after: {_minutes(total)}")
    return [*lines, ""]


def _minutes(spent: Mapping[str, float]) -> str:
    elapsed, cpu = spent["elapsed_s"] / 60, spent["cpu_s"] / 60
    return f"{elapsed:.1f} minutes, {cpu:.1f} core-minutes of processor time"


def _best_step(steps: Sequence[Mapping[str, float]]) -> int:
    key = "validation_infill_loss"
    losses = [(row[key], int(row["step"]) + 1) for row in steps if key in row]
    losses += [(row[f"start_{key}"], 0) for row in steps[:1] if f"start_{key}" in row]
    return min(losses)[1] if losses else 0


def dropped_table(report: Mapping[str, Any]) -> str:
    """Return the table of the reasons for which files stayed out."""
    if not report["dropped"]:
        return ""
    rows = ["| left out because | files |", "|---|---|"]
    by_files = sorted(report["dropped"].items(), key=lambda item: -item[1]["num_files"])
    rows += [f"| {reason} | {count['num_files']:,} |" for reason, count in by_files]
    return "\n".join([*rows, ""])


def _example_sections(examples: Sequence[Example]) -> list[str]:
    won = [one for one in examples if one.is_right]
    lost = [one for one in examples if not one.is_right]
    sections = [f"## Lines that changed: {len(won)} became right, {len(lost)} became wrong\n"]
    for one in (*won[:_NUM_EXAMPLES], *lost[:_NUM_EXAMPLES]):
        texts = (("right", one.gold), ("before", one.before), ("after", one.after))
        sections += [f"`{one.key}`\n", *(f"    {label:7}{_one_line(text)}" for label, text in texts), ""]
    return sections


def _one_line(text: str) -> str:
    shown = " ⏎ ".join(text.strip().splitlines())
    return shown if len(shown) <= _MAX_EXAMPLE else f"{shown[:_MAX_EXAMPLE]}…"


def _value(measure: Measure, value: float, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{100 * value:{sign}.1f} %" if measure.is_rate else f"{value:{sign}.3f}"


def _shown(measure: Measure, interval: Interval, *, signed: bool = False) -> str:
    if interval is None:
        return ""
    low, high = (_value(measure, one, signed=signed).removesuffix(" %") for one in interval)
    return f" ({low} to {high})"
