"""The resident size of one process over many requests, each about another text. Linux only.

python benchmarks/growth.py                 # mini, 300 requests, as much cache as users get
python benchmarks/growth.py --blocks 256    # a cache of 16,384 tokens, which is full early
"""

import argparse
import os
import random
from pathlib import Path

import incoder
from incoder.inference.engine.cached_sequences import TransformerModel
from incoder.inference.infill_model import InfillModel


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--blocks", type=int, help="of the cache; a block holds 64 tokens")
    arguments = parser.parse_args()
    model = incoder.load("mini")
    assert isinstance(model.language_model, TransformerModel)
    if arguments.blocks:
        language_model = TransformerModel(model.language_model.transformer, arguments.blocks)
        model = InfillModel(language_model, model.tokenizer, model.infilling_format, model.num_tail_lines)
    lines, rng = Path(os.__file__).read_text(encoding="utf-8").split("\n"), random.Random(0)
    for number in range(1, arguments.requests + 1):
        num_lines = rng.randrange(20, 100)
        start = rng.randrange(len(lines) - num_lines)
        shown, hole = lines[start : start + num_lines], rng.randrange(num_lines)
        parts = ["\n".join(shown[:hole]) + "\n", "\n" + "\n".join(shown[hole + 1 :])]
        model.infill(parts, max_new_tokens=8, seed=number)
        if number in (1, 30, 60) or number % 100 == 0:
            print(f"after {number:4} requests: {resident_megabytes():.0f} MB", flush=True)


def resident_megabytes() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kilobytes) * 1024 / 1e6


if __name__ == "__main__":
    main()
