"""The first stage: an input shard in; its documents, filtered and redacted, and their signatures out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from incoder.corpus.decontamination.benchmarks import BenchmarkTasks, decontaminated
from incoder.corpus.deduplication.exact import SIGNATURE, partition_of, signature
from incoder.corpus.deduplication.near import NUM_PERMUTATIONS, sketches
from incoder.corpus.engine.stage import OnBytes
from incoder.corpus.engine.work_folder import finished, load, save
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import Report
from incoder.corpus.sources.input_shard import InputShard
from incoder.corpus.sources.source_file import Dropped, OnDrop
from incoder.corpus.stages.run_paths import (
    ROW_BITS,
    documents_file,
    read_report_file,
    shard_file,
    signatures_file,
    sketches_file,
)
from incoder.corpus.storage.documents import DocumentWriter
from incoder.corpus.text.filters import filtered, filters_of
from incoder.corpus.text.redaction import redacted, redactions_of
from incoder.corpus.text.stars import FoundStars, note_stars
from incoder.document import Document
from incoder.errors import IncoderError

_SKETCHED_TOGETHER = 256  # documents


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What reading an input shard counts: drops, projects and their stars, and characters."""

    report: Report
    stars: FoundStars
    num_characters: int


@dataclass(frozen=True, slots=True)
class Read:
    """The work of this stage: one shard a task. The search for duplicates has `num_partitions`."""

    run: Path
    recipe: CorpusRecipe
    num_partitions: int

    def __call__(self, task: int, on_bytes: OnBytes) -> None:
        report, stars = Report(), FoundStars()
        shard: InputShard = load(shard_file(self.run, task))
        documents = documents_of(shard, self.recipe, report.on_drop)
        num_characters = self._write(task, _counted(documents, report, stars, on_bytes))
        save(ReadResult(report, stars, num_characters), read_report_file(self.run, task))

    def give_up(self, task: int, reason: str) -> None:
        """Take the shard for empty: reading it killed the process, twice."""
        report = Report()
        shard: InputShard = load(shard_file(self.run, task))
        report.on_drop(Dropped(shard.name, shard.name, shard.num_bytes, f"crashed: {reason}"))
        save(ReadResult(report, {}, self._write(task, [])), read_report_file(self.run, task))

    def _write(self, task: int, documents: Iterable[Document]) -> int:
        num_characters = 0
        signatures = list[tuple[int, int, int, int, int]]()
        sketched, unsketched = list[np.ndarray[tuple[int, int], np.dtype[np.uint32]]](), list[str]()
        with finished(documents_file(self.run, task)) as path, DocumentWriter(path) as writer:
            for row, document in enumerate(documents):
                writer.write(document)
                num_characters += len(document.text)
                if self.recipe.deduplicate:
                    signatures.append(signature(document, task << ROW_BITS | row))
                    if self.recipe.deduplication.near:
                        unsketched.append(document.text)
                if len(unsketched) == _SKETCHED_TOGETHER:
                    sketched.append(sketches(unsketched))
                    unsketched.clear()
        if self.recipe.deduplicate:
            self._write_signatures(task, signatures)
        if self.recipe.deduplication.near:
            sketched.append(sketches(unsketched) if unsketched else np.empty((0, NUM_PERMUTATIONS), "<u4"))
            with finished(sketches_file(self.run, task)) as path, path.open("wb") as file:
                np.save(file, np.concatenate(sketched))
        return num_characters

    def _write_signatures(self, task: int, rows: list[tuple[int, int, int, int, int]]) -> None:
        found = np.array(rows, SIGNATURE)
        found = found[np.argsort(partition_of(found, self.num_partitions), kind="stable")]
        with finished(signatures_file(self.run, task)) as path, path.open("wb") as file:
            np.save(file, found)


def documents_of(shard: InputShard, recipe: CorpusRecipe, on_drop: OnDrop) -> Iterator[Document]:
    """The steps from an input shard to the documents that its own content does not speak against."""
    documents: Iterable[Document] = shard.documents(recipe, on_drop)
    documents = filtered(documents, filters_of(recipe.filters), on_drop)
    if recipe.decontamination.benchmarks:
        documents = decontaminated(documents, BenchmarkTasks(recipe.decontamination), on_drop)
    documents = redacted(documents, redactions_of(recipe))
    return quarantined(documents, shard, on_drop)


def quarantined(documents: Iterable[Document], shard: InputShard, on_drop: OnDrop) -> Iterator[Document]:
    """The documents up to one that breaks the code that reads it, which must not cost the other shards."""
    num_bytes = 0
    try:
        for document in documents:
            num_bytes += len(document.text)
            yield document
    except IncoderError:  # the user's to mend
        raise
    except Exception as error:  # noqa: BLE001 - whatever a hostile file brings about
        rest = max(0, shard.num_bytes - num_bytes)
        on_drop(Dropped(shard.name, shard.name, rest, f"failed: {type(error).__name__}"))


def _counted(
    documents: Iterable[Document], report: Report, stars: FoundStars, on_bytes: OnBytes
) -> Iterator[Document]:
    for document in documents:
        report.add_project_of(document)
        note_stars(document, stars)
        on_bytes(len(document.text))
        yield document
