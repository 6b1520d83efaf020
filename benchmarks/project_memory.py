"""Project memory on this machine: how fast its index is built, how large it is, what a token costs.

    OMP_NUM_THREADS=1 RAYON_NUM_THREADS=1 python benchmarks/project_memory.py FOLDER

Times are of the processor, so that other programs count less; the best of several rounds. A token's cost with
project memory is beside the model's own step in the same run.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

import incoder
from incoder.inference.memory.encoding import encode_texts
from incoder.inference.memory.index import ProjectIndex, updated
from incoder.inference.memory.project_memory import ProjectMemory
from incoder.inference.memory.segment import MAX_ORDER
from incoder.inference.memory.source_files import list_source_files, read_text

NUM_STEPS = 200


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model, root = incoder.load(arguments.model), arguments.folder
    tokenizer = model.tokenizer
    num_bytes = sum(file.size for file in list_source_files(root))
    texts = [text for file in list_source_files(root) if (text := read_text(root / file.path))]

    def rate(work: Callable[[], object]) -> float:
        return num_bytes / 1e6 / best(work, arguments.rounds)

    index = updated(ProjectIndex({}), root, tokenizer)
    size = sum(len(segment.data) for segment in index.segments) / max(1, index.num_tokens)
    print(f"{index.num_files:,} files, {num_bytes / 1e6:.1f} MB, {index.num_tokens:,} tokens")
    print(f"{size:.2f} bytes a token")
    print(f"build: {rate(lambda: updated(ProjectIndex({}), root, tokenizer)):.1f} MB/s")
    print(f"  encoding, the fast way: {rate(lambda: encode_texts(tokenizer, texts)):.1f} MB/s")
    print(f"  encoding without the extra corpus: {rate(lambda: tokenizer.encode_batch(texts)):.1f} MB/s")
    with tempfile.TemporaryDirectory() as folder:
        memory = ProjectMemory(root, tokenizer, folder=Path(folder))
        memory.refresh()

        def open_again() -> None:
            ProjectMemory(root, tokenizer, folder=Path(folder)).refresh()

        print(f"open an unchanged index: {1e3 * best(open_again, arguments.rounds):.0f} ms")
        path = max(index.files, key=lambda one: index.files[one].span.length)
        text = read_text(root / path) or ""
        middle = len(text) // 2
        texts_of_hole = [text[:middle], text[middle:]]
        first = best(lambda: memory.prior(texts_of_hole, root / path), 1)
        texts_of_hole[0] += "x"
        next_one = best(lambda: memory.prior(texts_of_hole, root / path), 1)
        print(
            f"the largest file, {len(text):,} characters: prior {1e3 * first:.1f} ms, "
            f"after a keystroke {1e3 * next_one:.1f} ms"
        )
        prior = memory.prior(texts_of_hole, root / path)
        token_ids = tokenizer.encode(texts_of_hole[1])[: NUM_STEPS + MAX_ORDER]
        logits_1V = torch.randn(1, tokenizer.vocab_size, generator=torch.Generator().manual_seed(0))

        def mix_all() -> None:
            for end in range(MAX_ORDER, len(token_ids)):
                prior.mix(logits_1V, [token_ids[:end]])

        def read_all() -> None:
            sequences = model.language_model.open(len(token_ids) + 512)
            with torch.inference_mode():
                sequences.forward([token_ids[:MAX_ORDER]])
                for token_id in token_ids[MAX_ORDER:]:
                    sequences.forward([[token_id]])
            sequences.close()

        num_steps = len(token_ids) - MAX_ORDER
        mixing = best(mix_all, arguments.rounds) / num_steps
        reading = best(read_all, arguments.rounds) / num_steps
        print(
            f"a token: memory {1e6 * mixing:.0f} µs, the model's step {1e6 * reading:.0f} µs, "
            f"{100 * mixing / reading:.1f} %"
        )


def best(work: Callable[[], object], rounds: int) -> float:
    """The least seconds of the processor that this took."""
    times = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


if __name__ == "__main__":
    main()
