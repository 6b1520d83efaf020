"""Masking and packing documents into training rows, in tokens a CPU-second of one process, by kinds of spans.

    python benchmarks/masking.py [--source FOLDER] [--num-files 300]

The masking of the paper, that of recipes/mini/second.toml (spans of lines) and that of
recipes/mini/third.toml (all kinds of spans) mask the same files in turns. By default the files are Python's
standard library.
"""

import argparse
import statistics
import sysconfig
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from incoder.config import load_recipe
from incoder.embedded_models import EMBEDDED
from incoder.objective.masking import MaskingConfig
from incoder.objective.rows import training_rows
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training.recipe import TrainingRecipe

RECIPES = Path(__file__).parents[1] / "recipes" / "mini"
WINDOWS = (512, 2048)
MAX_FILE_BYTES = 100_000  # as in the corpus of mini


class EncodedFiles:
    """Files as training reads them."""

    def __init__(self, paths: list[Path], tokenizer: Tokenizer) -> None:
        texts = (path.read_text(encoding="utf-8", errors="replace") for path in paths)
        self.documents = [np.array([tokenizer.document_start_id, *tokenizer.encode(text)]) for text in texts]
        self.num_tokens = sum(map(len, self.documents))

    def document(self, index: int, /) -> NDArray[np.int64]:
        return self.documents[index]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, default=Path(sysconfig.get_paths()["stdlib"]))
    parser.add_argument("--num-files", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    tokenizer = Tokenizer.from_file(EMBEDDED / "mini")
    paths = (path for path in sorted(arguments.source.rglob("*.py")) if "site-packages" not in path.parts)
    sized = [path for path in paths if 500 < path.stat().st_size <= MAX_FILE_BYTES]
    files = EncodedFiles(sized[: arguments.num_files], tokenizer)
    contestants = {"paper": MaskingConfig()} | {
        name: load_recipe(TrainingRecipe, RECIPES / f"{name}.toml").masking for name in ("second", "third")
    }
    print(f"{len(files.documents)} files, {files.num_tokens:,} tokens; M tokens a CPU-second")
    for window in WINDOWS:
        rates = dict[str, list[float]]({name: [] for name in contestants})
        for _ in range(arguments.rounds):
            for name, masking in contestants.items():
                rates[name].append(files.num_tokens / seconds_for(files, window, masking, tokenizer) / 1e6)
        shown = ", ".join(f"{name} {statistics.median(values):.2f}" for name, values in rates.items())
        print(f"windows of {window}: {shown}")


def seconds_for(files: EncodedFiles, window: int, masking: MaskingConfig, tokenizer: Tokenizer) -> float:
    """The CPU-seconds of one epoch."""
    started = time.process_time()
    training_rows(
        files,
        range(len(files.documents)),
        epoch=0,
        seed=0,
        window=window,
        masking=masking,
        infilling_format=CausalMaskingFormat(tokenizer),
        tokenizer=tokenizer,
    )
    return time.process_time() - started


if __name__ == "__main__":
    main()
