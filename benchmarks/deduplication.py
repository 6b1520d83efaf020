"""The paper's key of a document, MB/s of one process, beside the same key by a regular expression.

    python benchmarks/deduplication.py [--source FOLDER]

Then the whole one-pass filter, key and Bloom filter together. By default over Python's standard library.
"""

import argparse
import hashlib
import re
import sysconfig
from pathlib import Path

from measuring.turns import median_seconds

from incoder.corpus.deduplication.exact import document_key, token_key
from incoder.corpus.deduplication.one_pass import SeenKeys
from incoder.document import Document

_TOKENS = re.compile(r"\w+", re.ASCII)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, default=Path(sysconfig.get_paths()["stdlib"]))
    parser.add_argument("--max-files", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    paths = sorted(arguments.source.rglob("*.py"))[: arguments.max_files]
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    documents = [
        Document(text, path=path.name, project="stdlib", source="folder")
        for text, path in zip(texts, paths, strict=True)
    ]
    megabytes = sum(len(text.encode("utf-8", "replace")) for text in texts) / 1e6

    def one_pass(_: int) -> None:
        seen = SeenKeys(len(documents), 1e-9)
        for document in documents:
            seen.add(document_key(document))

    keys, by_expression = median_seconds(
        lambda _: [token_key(text, ".py") for text in texts],
        lambda _: [_by_expression(text) for text in texts],
        arguments.rounds,
    )
    whole, _ = median_seconds(one_pass, lambda _: None, arguments.rounds)
    print(f"{megabytes:.0f} MB in {len(texts)} files; MB/s of one process")
    print(f"key {megabytes / keys:.0f}, by a regular expression {megabytes / by_expression:.0f}", end="")
    print(f": {by_expression / keys:.2f} times as fast; key and Bloom filter {megabytes / whole:.0f}")


def _by_expression(text: str) -> bytes:
    tokens = _TOKENS.findall(text)
    digest = hashlib.md5(" ".join(tokens).encode(), usedforsecurity=False).digest()
    return digest + len(tokens).to_bytes(8) + b".py"


if __name__ == "__main__":
    main()
