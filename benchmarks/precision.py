"""What smaller weights cost in quality: bits per byte and single-line fills, each precision beside fp32.

The text is Python's own standard library, which `mini` was not trained on. Fills are greedy, of lines evenly
spaced over the files; *same* is the share that equals the fill in fp32, *exact* that which equals the line
that stood there.

    python benchmarks/precision.py --model mini
"""

import argparse
import importlib.util
import math
from collections.abc import Iterator
from pathlib import Path

import incoder
from incoder.inference.infill_model import InfillModel

MODULES = ("bisect", "fnmatch", "heapq", "json.decoder", "queue", "shlex", "statistics", "textwrap")
PRECISIONS = ("float32", "bfloat16", "float16", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--holes", type=int, default=64, help="lines to fill, over all files")
    arguments = parser.parse_args()

    texts = [_source(module) for module in MODULES]
    holes = [hole for text in texts for hole in _holes(text, arguments.holes // len(texts))]
    gold = [line for _, line, _ in holes]
    print(f"{'':10} {'bits/byte':>10} {'against fp32':>13} {'same':>7} {'exact':>7}   of {len(holes)} lines")
    reference_bits, reference_fills = 0.0, list[str]()
    for precision in PRECISIONS:
        model = incoder.load(arguments.model, dtype=precision)
        bits = _bits_per_byte(model, texts)
        fills = [
            model.infill([prefix, suffix], temperature=0, stop="\n", max_new_tokens=64).infills[0]
            for prefix, _, suffix in holes
        ]
        reference_bits, reference_fills = reference_bits or bits, reference_fills or fills
        same, exact = _share(fills, reference_fills), _share(fills, gold)
        print(f"{precision:10} {bits:10.4f} {bits - reference_bits:+13.4f} {same:7.1%} {exact:7.1%}")


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


def _holes(text: str, number: int) -> Iterator[tuple[str, str, str]]:
    """What stands before a line's first character that is not blank, the line, and what stands after it."""
    lines = text.splitlines(keepends=True)
    candidates = [index for index, line in enumerate(lines) if line.strip()]
    for index in candidates[:: max(1, len(candidates) // number)][:number]:
        line = lines[index]
        indent = line[: len(line) - len(line.lstrip())]
        yield "".join(lines[:index]) + indent, line.strip(), "\n" + "".join(lines[index + 1 :])


def _bits_per_byte(model: InfillModel, texts: list[str]) -> float:
    scores = [model.score(text) for text in texts]
    num_bytes = sum(len(text.encode()) for text in texts)
    return -sum(score.total_logprob for score in scores) / num_bytes / math.log(2)


def _share(fills: list[str], others: list[str]) -> float:
    return sum(fill == other for fill, other in zip(fills, others, strict=True)) / len(fills)


if __name__ == "__main__":
    main()
