"""Tokens that a vocabulary needs for held-out Python, beside those of InCoder's published one.

    python benchmarks/tokenizer.py runs/tokenizer --peer PUBLISHED --source HELD_OUT

PUBLISHED is a folder with the published `vocab.json` and `merges.txt`. HELD_OUT holds Python that ours was
not learnt from: `pip install --no-deps --target HELD_OUT flask networkx aiohttp tornado requests`.
"""

import argparse
from pathlib import Path

from incoder.tokenizer.corpus_encoder import CorpusEncoder
from incoder.tokenizer.tokenizer import Tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--peer", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True)
    arguments = parser.parse_args()

    texts = [
        path.read_text(encoding="utf-8", errors="surrogateescape")
        for path in sorted(arguments.source.rglob("*.py"))
    ]
    num_bytes = sum(len(text.encode("utf-8", "surrogateescape")) for text in texts)
    print(f"{len(texts):,} files, {num_bytes:,} bytes")
    counts = {}
    for name, folder in (("ours", arguments.tokenizer), ("peer", arguments.peer)):
        tokenizer = Tokenizer.from_file(folder)
        encoder = CorpusEncoder(tokenizer)
        counts[name] = sum(len(encoder.encode(text)) for text in texts)
        print(
            f"{name}: {tokenizer.vocab_size:,} ids, {counts[name]:,} tokens, "
            f"{num_bytes / counts[name]:.2f} bytes a token"
        )
    print(f"ratio: {counts['ours'] / counts['peer']:.3f}")


if __name__ == "__main__":
    main()
