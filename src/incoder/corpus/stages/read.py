"""The first stage: reads an input shard; writes its filtered and redacted documents and their signatures."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from incoder.corpus.decontamination.benchmarks import BenchmarkTasks, decontaminated
from incoder.corpus.decontamination.held_out import HeldOutCode, without_near_copies
from incoder.corpus.deduplication.exact import SIGNATURE, partition_of, signature
from incoder.corpus.deduplication.near import NUM_PERMUTATIONS, shingles, sketches
from incoder.corpus.drops import KeptDrops
from incoder.corpus.engine.stage import OnBytes
from incoder.corpus.engine.work_folder import DamagedWorkError, finished, load, save
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import Report
from incoder.corpus.sources.input_shard import FilesShard, InputShard
from incoder.corpus.sources.source_file import Dropped, OnDrop
from incoder.corpus.stages.checked_arrays import has_checksum, save_array
from incoder.corpus.stages.run_paths import (
    ROW_BITS,
    documents_file,
    drops_file,
    read_report_file,
    shard_file,
    signatures_file,
    sketches_file,
)
from incoder.corpus.storage.documents import DocumentFile, DocumentWriter
from incoder.corpus.text.filters import filtered, filters_of
from incoder.corpus.text.redaction import redacted, redactions_of
from incoder.corpus.text.stars import FoundStars, note_stars
from incoder.corpus.text.words import Hashes, words_of
from incoder.document import Document
from incoder.errors import IncoderError

_SKETCHED_TOGETHER = 256  # documents

# Limits within one input shard: large folders have a few unreadable files; after a disk is lost, most are.
_MAX_UNREADABLE = 0.1
_MIN_UNREADABLE = 10
_REMEDY = "when the source is there again, the same command goes on from the work so far"


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The counts of an input shard: drops, projects and their stars, characters by project.

    `checksums` are the checksums of the arrays that the search for duplicates reads.
    """

    report: Report
    stars: FoundStars
    num_characters: Counter[str]
    checksums: dict[str, int]


@dataclass(frozen=True, slots=True)
class Read:
    """The work of this stage: one input shard per task. The search for duplicates has `num_partitions`."""

    run: Path
    recipe: CorpusRecipe
    num_partitions: int
    keeps_drops: bool = False

    def __call__(self, task: int, on_bytes: OnBytes) -> None:
        stars, num_characters = FoundStars(), Counter[str]()
        shard: InputShard = load(shard_file(self.run, task))
        drops = KeptDrops(self.keeps_drops)
        documents = documents_of(shard, self.recipe, drops.on_drop)
        checksums = self._write(task, _counted(documents, drops.report, stars, num_characters, on_bytes))
        _check_readable(shard, drops.report)
        drops.save(drops_file(self.run, "read", task))
        save(ReadResult(drops.report, stars, num_characters, checksums), read_report_file(self.run, task))

    def is_whole(self, task: int) -> bool:
        """Whether the task's files are as they were written; pages of parquet are checked while reading."""
        try:
            result: ReadResult = load(read_report_file(self.run, task))
            with DocumentFile(documents_file(self.run, task)):
                pass
            if self.keeps_drops:
                load(drops_file(self.run, "read", task))
            arrays = {path.parent.name: path for path in self._arrays(task)}
            return all(has_checksum(arrays[name], checksum) for name, checksum in result.checksums.items())
        except (DamagedWorkError, IncoderError, OSError):
            return False

    def _arrays(self, task: int) -> tuple[Path, Path]:
        return signatures_file(self.run, task), sketches_file(self.run, task)

    def give_up(self, task: int, reason: str) -> None:
        """Replace the shard by an empty one, because reading it killed the process twice."""
        drops = KeptDrops(self.keeps_drops)
        shard: InputShard = load(shard_file(self.run, task))
        drops.on_drop(Dropped(shard.name, shard.name, shard.num_bytes, f"crashed: {reason}"))
        checksums = self._write(task, [])
        drops.save(drops_file(self.run, "read", task))
        save(ReadResult(drops.report, {}, Counter(), checksums), read_report_file(self.run, task))

    def _write(self, task: int, documents: Iterable[Document]) -> dict[str, int]:
        """Write the documents and their signatures; returns the checksums of the arrays."""
        signatures = list[tuple[int, int, int, int, int]]()
        sketched, unsketched = list[np.ndarray[tuple[int, int], np.dtype[np.uint32]]](), list[Hashes]()
        arrays = dict[Path, np.ndarray[Any, Any]]()
        with finished(documents_file(self.run, task)) as path, DocumentWriter(path) as writer:
            for row, document in enumerate(documents):
                writer.write(document)
                if self.recipe.deduplicate:
                    words = words_of(document.text)  # once, for the key and the sketch
                    signatures.append(signature(document, task << ROW_BITS | row, words))
                    if self.recipe.deduplication.near:
                        unsketched.append(shingles(words))
                if len(unsketched) == _SKETCHED_TOGETHER:
                    sketched.append(sketches(unsketched))
                    unsketched.clear()
        if self.recipe.deduplicate:
            found = np.array(signatures, SIGNATURE)
            found = found[np.argsort(partition_of(found, self.num_partitions), kind="stable")]
            arrays[signatures_file(self.run, task)] = found
        if self.recipe.deduplication.near:
            sketched.append(sketches(unsketched) if unsketched else np.empty((0, NUM_PERMUTATIONS), "<u4"))
            arrays[sketches_file(self.run, task)] = np.concatenate(sketched)
        return {target.parent.name: save_array(array, target) for target, array in arrays.items()}


def _check_readable(shard: InputShard, report: Report) -> None:
    """Stop if a source is incomplete, rather than build a corpus from the rest of it.

    Raises:
        IncoderError: a file that was listed is gone, or too many of the listed files cannot be read.
    """
    if not isinstance(shard, FilesShard):
        for path in shard.paths:
            if not path.exists():
                raise IncoderError(f"{path} was there when the build began, and is gone; {_REMEDY}")
        return
    num_unreadable = report.dropped["unreadable"].num_files if "unreadable" in report.dropped else 0
    num_files = len(shard.files)
    if num_unreadable >= _MIN_UNREADABLE and num_unreadable > _MAX_UNREADABLE * num_files:
        raise IncoderError(
            f"{num_unreadable:,} of {num_files:,} files cannot be read, such as {shard.files[0].location}; "
            f"{_REMEDY}"
        )


def documents_of(shard: InputShard, recipe: CorpusRecipe, on_drop: OnDrop) -> Iterator[Document]:
    """Yield the documents of an input shard that pass all checks which need no other shard."""
    documents: Iterable[Document] = shard.documents(recipe, on_drop)
    documents = filtered(documents, filters_of(recipe.filters), on_drop)
    if recipe.decontamination.benchmarks:
        documents = decontaminated(documents, BenchmarkTasks(recipe.decontamination), on_drop)
    if recipe.decontamination.held_out_code:
        code = HeldOutCode(recipe.decontamination.held_out_code, recipe.deduplication.near_threshold)
        documents = without_near_copies(documents, code, on_drop)
    documents = redacted(documents, redactions_of(recipe))
    return quarantined(documents, shard, on_drop)


def quarantined(documents: Iterable[Document], shard: InputShard, on_drop: OnDrop) -> Iterator[Document]:
    """Yield documents until the code that reads them fails, which must not stop the other shards."""
    num_bytes = 0
    try:
        for document in documents:
            num_bytes += len(document.text)
            yield document
    except IncoderError:  # the user can mend it
        raise
    except Exception as error:  # noqa: BLE001 - whatever a hostile file brings about
        rest = max(0, shard.num_bytes - num_bytes)
        on_drop(Dropped(shard.name, shard.name, rest, f"failed: {type(error).__name__}"))


def _counted(
    documents: Iterable[Document],
    report: Report,
    stars: FoundStars,
    num_characters: Counter[str],
    on_bytes: OnBytes,
) -> Iterator[Document]:
    for document in documents:
        num_characters[document.project] += len(document.text)
        report.add_project_of(document)
        note_stars(document, stars)
        on_bytes(len(document.text))
        yield document
