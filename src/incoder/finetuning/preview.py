"""What a fine-tuning run would read and hold out: its corpus, built and thrown away."""

import tempfile
from pathlib import Path

from incoder.corpus.engine.stage import OnProgress
from incoder.corpus.report import read_report
from incoder.finetuning.holes import MIN_HOLES, few_holes, held_out_rows
from incoder.finetuning.own_corpus import build_own_corpus
from incoder.finetuning.report import dropped_table
from incoder.finetuning.settings import FineTuning


def preview(settings: FineTuning, on_progress: OnProgress | None = None) -> str:
    """Return a text: files and bytes of both splits, what stays out and why, the number of holes.

    Raises:
        IncoderError: a folder is missing or holds no code.
    """
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        build_own_corpus(settings, corpus, writes_attributes=False, on_progress=on_progress)
        report = read_report(corpus)
        holes = held_out_rows(
            corpus, num_holes=settings.num_holes, context=settings.context, seed=settings.seed
        )
    lines = [
        f"{label}: {counts['num_documents']:,} files, {counts['num_bytes'] / 1e6:.1f} MB"
        for label, counts in (
            ("to train on", report["splits"]["train"]),
            ("held out", report["splits"]["validation"]),
        )
    ]
    lines.append(f"held-out lines to fill: {len(holes):,} of {len({row['path'] for row in holes}):,} files")
    if len(holes) < min(MIN_HOLES, settings.num_holes):
        lines.append(few_holes(len(holes)))
    return "\n".join([*lines, "", dropped_table(report)])
