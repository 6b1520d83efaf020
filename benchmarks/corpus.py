"""Building a corpus beside a plain multiprocessing pool that does the same work with the same functions.

    python benchmarks/corpus.py [--source FOLDER] [--workers 2] [--memory [TIMES …]]

Reads, filters, redacts, finds duplicates and writes the Python files of a folder, by default the standard
library. The pool keeps no record of what is done, so a killed run begins anew; that and the engine's own
processes are what the ratio measures. `--memory` builds the same once, 4 and 16 times over and measures the
largest process, workers included (Linux only); it must not grow.
"""

import argparse
import multiprocessing
import os
import shutil
import sysconfig
import tempfile
import threading
import time
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np

from incoder.corpus.build import build_corpus
from incoder.corpus.deduplication.exact import SIGNATURE, duplicates_among, signature
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import Report
from incoder.corpus.sources.input_shard import InputShard
from incoder.corpus.sources.listing import list_input_shards
from incoder.corpus.stages.read import documents_of
from incoder.corpus.stages.run_paths import ROW_BITS
from incoder.corpus.storage.documents import DocumentFile, DocumentWriter


def recipe_of(source: Path, workers: int) -> CorpusRecipe:
    sources = [{"kind": "folder", "path": str(source), "projects": "entries"}]
    engine = {"workers": workers}
    return CorpusRecipe.model_validate({"sources": sources, "engine": engine, "validation_fraction": 0.0})


def _read(job: tuple[int, InputShard, CorpusRecipe, Path]) -> list[tuple[int, int, int, int, int]]:
    number, shard, recipe, path = job
    with DocumentWriter(path) as writer:
        signatures = []
        for row, document in enumerate(documents_of(shard, recipe, Report().on_drop)):
            writer.write(document)
            signatures.append(signature(document, number << ROW_BITS | row))
    return signatures


def _keep(job: tuple[Path, list[int], Path]) -> None:
    source, duplicates, target = job
    dropped, first = set(duplicates), 0
    with DocumentFile(source) as file, DocumentWriter(target) as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            kept = [row for row in range(table.num_rows) if first + row not in dropped]
            writer.write_table(table.take(np.array(kept, int)))
            first += table.num_rows


def pool_build(recipe: CorpusRecipe, output: Path, workers: int) -> None:
    output.mkdir()
    shards = list(list_input_shards(recipe, output, Report().on_drop))
    partitions = [output / f"{number}.partition" for number in range(len(shards))]
    jobs = [(number, shard, recipe, partitions[number]) for number, shard in enumerate(shards)]
    with multiprocessing.get_context("forkserver").Pool(workers) as pool:
        found = pool.map(_read, jobs, chunksize=1)
        signatures = np.fromiter(chain.from_iterable(found), SIGNATURE)
        duplicates: dict[int, list[int]] = {}
        for position in duplicates_among(signatures)["position"].tolist():
            duplicates.setdefault(position >> ROW_BITS, []).append(position % (1 << ROW_BITS))
        pool.map(
            _keep,
            [
                (partition, duplicates.get(n, []), partition.with_suffix(".parquet"))
                for n, partition in enumerate(partitions)
            ],
            chunksize=1,
        )


def seconds_of(build: str, source: Path, workers: int) -> float:
    folder = Path(tempfile.mkdtemp(prefix="corpus-"))
    recipe = recipe_of(source, workers)
    start = time.perf_counter()
    if build == "ours":
        build_corpus(recipe, folder / "corpus")
    else:
        pool_build(recipe, folder / "corpus", workers)
    seconds = time.perf_counter() - start
    shutil.rmtree(folder)
    return seconds


def peak_megabytes(source: Path, times: int) -> float:
    """The largest process of a build of the source, so many times over, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[float] = context.Queue()
    process = context.Process(target=_measure, args=(source, times, queue))
    process.start()
    peak = queue.get()
    process.join()
    return peak


def _measure(source: Path, times: int, queue: "multiprocessing.Queue[float]") -> None:
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        root = Path(folder) / "source"
        root.mkdir()
        for number in range(times):
            shutil.copytree(source, root / str(number), ignore_dangling_symlinks=True)
        peaks, ended = dict[int, int](), threading.Event()
        watcher = threading.Thread(target=_watch, args=(os.getpid(), peaks, ended))
        watcher.start()
        build_corpus(recipe_of(root, 1), Path(folder) / "corpus")
        ended.set()
        watcher.join()
    queue.put(max(peaks.values()) / 1024)


def _watch(root: int, peaks: dict[int, int], ended: threading.Event) -> None:
    """Note the largest resident size, in kB, of a process and of all that it started, workers included.

    The workers are children of a fork server, which getrusage does not count.
    """
    while not ended.wait(0.05):
        parents = dict[int, int]()
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                with suppress(OSError, ValueError):  # it has just ended
                    lines = (folder / "status").read_text().splitlines()
                    fields = dict(line.split(":", 1) for line in lines if ":" in line)
                    parents[int(folder.name)] = int(fields["PPid"])
                    if _descends(int(folder.name), root, parents) and "VmHWM" in fields:
                        peaks[int(folder.name)] = int(fields["VmHWM"].split()[0])


def _descends(process: int, root: int, parents: dict[int, int]) -> bool:
    while process in parents and process != root:
        process = parents[process]
    return process == root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", type=Path, default=Path(sysconfig.get_paths()["stdlib"]))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--memory",
        type=int,
        nargs="*",
        help="also measure memory with this many copies, by default 1, 4 and 16",
    )
    options = parser.parse_args()
    num_bytes = sum(path.stat().st_size for path in options.source.rglob("*.py") if path.is_file())
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(seconds_of("ours", options.source, options.workers))
        theirs.append(seconds_of("pool", options.source, options.workers))
    rates = [num_bytes / min(seconds) / 1e6 / options.workers for seconds in (ours, theirs)]
    print(f"{num_bytes / 1e6:.0f} MB of Python, {options.workers} workers; MB/s of each:")
    print(f"build {rates[0]:.2f}, pool {rates[1]:.2f}: {rates[0] / rates[1]:.2f} times as fast")
    if options.memory is not None:
        peaks = [
            f"{times}x {peak_megabytes(options.source, times):.0f} MB"
            for times in options.memory or (1, 4, 16)
        ]
        print(f"largest process: {', '.join(peaks)}")


if __name__ == "__main__":
    main()
