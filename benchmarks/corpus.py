"""Building a corpus beside a plain multiprocessing pool that does the same work with the same functions.

    python benchmarks/corpus.py --source FOLDER [--workers 2]

Reads, filters, redacts, finds copies and writes the Python files of a folder. The pool keeps no record of
what is done, so a killed run begins anew; that and the engine's processes are what the ratio tells. Then the
same input once, twice and four times over: the memory of the largest process must not grow with it.
"""

import argparse
import multiprocessing
import resource
import shutil
import tempfile
import time
from pathlib import Path

from incoder.corpus.build import build_corpus
from incoder.corpus.deduplication.copies import signature
from incoder.corpus.documents import DocumentWriter
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import Report
from incoder.corpus.sources import Piece, list_pieces
from incoder.corpus.stages.read import documents_of


def recipe_of(source: Path, workers: int) -> CorpusRecipe:
    sources = [{"kind": "folder", "path": str(source), "projects": "entries"}]
    engine = {"workers": workers}
    return CorpusRecipe.model_validate({"sources": sources, "engine": engine, "validation_fraction": 0.0})


def _in_pool(job: tuple[Piece, CorpusRecipe, Path]) -> list[tuple[int, ...]]:
    piece, recipe, path = job
    with DocumentWriter(path) as writer:
        signatures = list[tuple[int, ...]]()
        for row, document in enumerate(documents_of(piece, recipe, Report().on_drop)):
            writer.write(document)
            signatures.append(signature(document, row))
    return signatures


def pool_build(recipe: CorpusRecipe, output: Path, workers: int) -> None:
    output.mkdir()
    pieces = list_pieces(recipe, output, Report().on_drop)
    jobs = [(piece, recipe, output / f"{number}.parquet") for number, piece in enumerate(pieces)]
    with multiprocessing.get_context("forkserver").Pool(workers) as pool:
        found = pool.map(_in_pool, jobs, chunksize=1)
    copies, seen = 0, set[tuple[int, ...]]()
    for signatures in found:
        for one in signatures:
            copies += one[:2] in seen
            seen.add(one[:2])


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
        build_corpus(recipe_of(root, 1), Path(folder) / "corpus")
    usages = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    queue.put(max(usages) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", type=Path, required=True, help="a folder of Python files")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="also measure memory, with 1, 2 and 4 copies")
    options = parser.parse_args()
    num_bytes = sum(path.stat().st_size for path in options.source.rglob("*.py") if path.is_file())
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(seconds_of("ours", options.source, options.workers))
        theirs.append(seconds_of("pool", options.source, options.workers))
    rates = [num_bytes / min(seconds) / 1e6 / options.workers for seconds in (ours, theirs)]
    print(f"{num_bytes / 1e6:.0f} MB of Python, {options.workers} workers; MB/s of each:")
    print(f"build {rates[0]:.2f}, pool {rates[1]:.2f}: {rates[0] / rates[1]:.2f} times as fast")
    if options.memory:
        peaks = [f"{times}x {peak_megabytes(options.source, times):.0f} MB" for times in (1, 2, 4)]
        print(f"largest process: {', '.join(peaks)}")


if __name__ == "__main__":
    main()
