"""The second stage: reads signatures; writes the positions of the documents to drop and of the kept ones.

The search for exact duplicates works on one partition of the signatures at a time; the paper's single pass
and the search for near-duplicates see all documents at once.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from incoder.corpus.deduplication.deduplication_settings import DeduplicationSettings
from incoder.corpus.deduplication.exact import (
    DUPLICATE_ROW,
    SIGNATURE,
    Duplicates,
    Signatures,
    duplicates_among,
    partition_of,
)
from incoder.corpus.deduplication.near import NUM_PERMUTATIONS, near_duplicates_among
from incoder.corpus.deduplication.one_pass import SeenKeys
from incoder.corpus.engine.stage import OnBytes
from incoder.corpus.engine.work_folder import DamagedWorkError, load, save
from incoder.corpus.report import NUM_EXAMPLES, Clusters
from incoder.corpus.stages.checked_arrays import has_checksum, save_array
from incoder.corpus.stages.run_paths import (
    ROW_BITS,
    documents_file,
    duplicates_checksum_file,
    duplicates_file,
    signatures_file,
    sketches_file,
)
from incoder.corpus.storage.documents import DocumentFile

EXACT = "exact"
NEAR = "near"


@dataclass(frozen=True, slots=True)
class FindDuplicates:
    """Exact duplicates in one of `num_partitions`; with `method = "paper"` there is one, read in order."""

    run: Path
    num_shards: int
    num_partitions: int
    settings: DeduplicationSettings

    def __call__(self, task: int, on_bytes: OnBytes) -> None:  # noqa: ARG002 - it takes a moment
        if self.settings.method == "paper":
            duplicates = np.fromiter(self._in_one_pass(), DUPLICATE_ROW)
        else:
            found = [self._partition(shard, task) for shard in range(self.num_shards)]
            duplicates = duplicates_among(np.concatenate([*found, np.empty(0, SIGNATURE)]))
        _save(self.run, EXACT, task, duplicates)

    def is_whole(self, task: int) -> bool:
        """Whether what the task left is as it was written."""
        return _is_whole(self.run, EXACT, task)

    def _partition(self, shard: int, partition: int) -> Signatures:
        signatures = np.load(signatures_file(self.run, shard), mmap_mode="r")
        partitions = partition_of(signatures, self.num_partitions)
        start, end = np.searchsorted(partitions, [partition, partition + 1])
        return np.array(signatures[start:end])

    def _in_one_pass(self) -> Iterator[tuple[int, int]]:
        """Yield each duplicate with itself as the kept one: the filter does not know which one came first."""
        seen = SeenKeys(self.settings.expected_documents, self.settings.error_rate)
        for shard in range(self.num_shards):
            signatures = np.load(signatures_file(self.run, shard))
            for row in signatures[np.argsort(signatures["position"])]:
                if not seen.add(int(row["key"]).to_bytes(8) + int(row["key_rest"]).to_bytes(8)):
                    yield int(row["position"]), int(row["position"])


@dataclass(frozen=True, slots=True)
class FindNearDuplicates:
    """Near-duplicates among the documents that are no exact duplicates: one task."""

    run: Path
    num_shards: int
    num_partitions: int
    settings: DeduplicationSettings

    def __call__(self, task: int, on_bytes: OnBytes) -> None:  # noqa: ARG002 - see above
        files = [duplicates_file(self.run, EXACT, partition) for partition in range(self.num_partitions)]
        exact = [np.load(file)["position"] for file in files]
        duplicates = np.sort(np.concatenate(exact))
        signatures, sketches = list[Signatures](), list[Any]()
        for shard in range(self.num_shards):
            found = np.load(signatures_file(self.run, shard))
            stays = found[~np.isin(found["position"], duplicates)]
            signatures.append(stays)
            rows = stays["position"] & np.uint64((1 << ROW_BITS) - 1)
            sketches.append(np.load(sketches_file(self.run, shard), mmap_mode="r")[rows.astype(np.int64)])
        # Without any shard, because the sources hold no code, both are empty.
        them = np.concatenate([*signatures, np.empty(0, SIGNATURE)])
        near = near_duplicates_among(
            np.concatenate([*sketches, np.empty((0, NUM_PERMUTATIONS), np.uint32)]),
            them["stars"],
            them["tie"],
            them["position"],
            self.settings.near_threshold,
        )
        _save(self.run, NEAR, task, near)

    def is_whole(self, task: int) -> bool:
        """Whether what the task left is as it was written."""
        return _is_whole(self.run, NEAR, task)


def duplicates_of_shard(run: Path, shard: int, search: str, num_partitions: int) -> dict[int, int | None]:
    """The rows of an input shard to drop after a search, each with the position of its kept duplicate.

    The position is None if the search does not know it.
    """
    bounds = np.array([shard << ROW_BITS, (shard + 1) << ROW_BITS], np.uint64)
    rows = dict[int, int | None]()
    for partition in range(num_partitions):
        duplicates = np.load(duplicates_file(run, search, partition), mmap_mode="r")
        start, end = np.searchsorted(duplicates["position"], bounds)
        for position, kept in duplicates[start:end].tolist():
            rows[position - (shard << ROW_BITS)] = None if kept == position else kept
    return rows


def clusters_of(run: Path, search: str, num_partitions: int) -> Clusters:
    """The clusters that a search found; all documents of a cluster are in the same partition."""
    sizes, largest = Counter[int](), list[tuple[int, int]]()
    for partition in range(num_partitions):
        duplicates = np.load(duplicates_file(run, search, partition))
        known = duplicates["kept"] != duplicates["position"]
        kept, num_duplicates = np.unique(duplicates["kept"][known], return_counts=True)
        sizes.update((num_duplicates + 1).tolist())
        first = np.lexsort([kept, -num_duplicates])[:NUM_EXAMPLES]
        largest += zip((num_duplicates[first] + 1).tolist(), kept[first].tolist(), strict=True)
    largest.sort(key=lambda cluster: (-cluster[0], cluster[1]))
    return Clusters(sizes, [(size, *name_of(run, kept)) for size, kept in largest[:NUM_EXAMPLES]])


def name_of(run: Path, position: int) -> tuple[str, str]:
    """The project and the path of a document."""
    shard, row = divmod(position, 1 << ROW_BITS)
    with DocumentFile(documents_file(run, shard)) as file:
        group = 0
        while row >= (num_rows := file.group_num_rows(group)):
            row, group = row - num_rows, group + 1
        table = file.read_row_group(group, columns=["project", "path"])
        return table.column("project")[row].as_py(), table.column("path")[row].as_py()


def _save(run: Path, search: str, partition: int, duplicates: Duplicates) -> None:
    checksum = save_array(np.sort(duplicates, order="position"), duplicates_file(run, search, partition))
    save(checksum, duplicates_checksum_file(run, search, partition))


def _is_whole(run: Path, search: str, partition: int) -> bool:
    try:
        checksum: int = load(duplicates_checksum_file(run, search, partition))
        return has_checksum(duplicates_file(run, search, partition), checksum)
    except (DamagedWorkError, OSError):
        return False
