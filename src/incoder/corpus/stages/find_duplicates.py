"""The second stage: signatures in, the positions of the documents to drop out, and which copy stays for each.

Exact copies are searched for in parts of the signatures, each by itself; the paper's one pass and the search
for near copies see all documents at once.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from incoder.corpus.deduplication.deduplication_settings import DeduplicationSettings
from incoder.corpus.deduplication.exact import COPY, SIGNATURE, Copies, Signatures, copies_among, part_of
from incoder.corpus.deduplication.near import near_copies_among
from incoder.corpus.deduplication.one_pass import SeenKeys
from incoder.corpus.engine.stage import OnBytes
from incoder.corpus.engine.work_folder import finished
from incoder.corpus.report import NUM_EXAMPLES, Clusters
from incoder.corpus.stages.run_paths import ROW_BITS, copies_file, part_file, signatures_file, sketches_file
from incoder.corpus.storage.documents import open_file

EXACT = "exact"
NEAR = "near"


@dataclass(frozen=True, slots=True)
class FindCopies:
    """Exact copies in one of `num_parts` parts; with `method = "paper"` there is one part, in order."""

    run: Path
    num_pieces: int
    num_parts: int
    settings: DeduplicationSettings

    def __call__(self, task: int, on_bytes: OnBytes) -> None:  # noqa: ARG002 - it takes a moment
        if self.settings.method == "paper":
            copies = np.fromiter(self._in_one_pass(), COPY)
        else:
            found = [self._part(piece, task) for piece in range(self.num_pieces)]
            copies = copies_among(np.concatenate([*found, np.empty(0, SIGNATURE)]))
        _save(copies, copies_file(self.run, EXACT, task))

    def _part(self, piece: int, part: int) -> Signatures:
        signatures = np.load(signatures_file(self.run, piece), mmap_mode="r")
        parts = part_of(signatures, self.num_parts)
        start, end = np.searchsorted(parts, [part, part + 1])
        return np.array(signatures[start:end])

    def _in_one_pass(self) -> Iterator[tuple[int, int]]:
        """Copies stand for themselves: the filter does not know whose key it has seen."""
        seen = SeenKeys(self.settings.expected_documents, self.settings.error_rate)
        for piece in range(self.num_pieces):
            signatures = np.load(signatures_file(self.run, piece))
            for row in signatures[np.argsort(signatures["position"])]:
                if not seen.add(int(row["key"]).to_bytes(8) + int(row["key_rest"]).to_bytes(8)):
                    yield int(row["position"]), int(row["position"])


@dataclass(frozen=True, slots=True)
class FindNearCopies:
    """What is nearly the same among the documents that are no exact copies: one task."""

    run: Path
    num_pieces: int
    num_parts: int
    settings: DeduplicationSettings

    def __call__(self, task: int, on_bytes: OnBytes) -> None:  # noqa: ARG002 - see above
        exact = [np.load(copies_file(self.run, EXACT, part))["position"] for part in range(self.num_parts)]
        copies = np.sort(np.concatenate(exact))
        signatures, sketches = list[Signatures](), list[Any]()
        for piece in range(self.num_pieces):
            found = np.load(signatures_file(self.run, piece))
            stays = found[~np.isin(found["position"], copies)]
            signatures.append(stays)
            rows = stays["position"] & np.uint64((1 << ROW_BITS) - 1)
            sketches.append(np.load(sketches_file(self.run, piece), mmap_mode="r")[rows.astype(np.int64)])
        them = np.concatenate(signatures)
        near = near_copies_among(
            np.concatenate(sketches),
            them["stars"],
            them["tie"],
            them["position"],
            self.settings.near_threshold,
        )
        _save(near, copies_file(self.run, NEAR, task))


def copies_of_piece(run: Path, piece: int, search: str, num_parts: int) -> dict[int, int | None]:
    """The rows of a piece that the search says to drop, each with the position of the copy that stays for it.

    None where the search cannot tell.
    """
    bounds = np.array([piece << ROW_BITS, (piece + 1) << ROW_BITS], np.uint64)
    rows = dict[int, int | None]()
    for part in range(num_parts):
        copies = np.load(copies_file(run, search, part), mmap_mode="r")
        start, end = np.searchsorted(copies["position"], bounds)
        for position, kept in copies[start:end].tolist():
            rows[position - (piece << ROW_BITS)] = None if kept == position else kept
    return rows


def clusters_of(run: Path, search: str, num_parts: int) -> Clusters:
    """What the search found, by the copies that stay; all copies of one document are in the same part."""
    sizes, largest = Counter[int](), list[tuple[int, int]]()
    for part in range(num_parts):
        copies = np.load(copies_file(run, search, part))
        kept, num_copies = np.unique(copies["kept"][copies["kept"] != copies["position"]], return_counts=True)
        sizes.update((num_copies + 1).tolist())
        first = np.lexsort([kept, -num_copies])[:NUM_EXAMPLES]
        largest += zip((num_copies[first] + 1).tolist(), kept[first].tolist(), strict=True)
    largest.sort(key=lambda cluster: (-cluster[0], cluster[1]))
    return Clusters(sizes, [(size, *name_of(run, kept)) for size, kept in largest[:NUM_EXAMPLES]])


def name_of(run: Path, position: int) -> tuple[str, str]:
    """The project and the path of a document."""
    piece, row = divmod(position, 1 << ROW_BITS)
    with open_file(part_file(run, piece)) as file:
        group = 0
        while row >= (num_rows := file.metadata.row_group(group).num_rows):
            row, group = row - num_rows, group + 1
        table = file.read_row_group(group, columns=["project", "path"])
        return table.column("project")[row].as_py(), table.column("path")[row].as_py()


def _save(copies: Copies, path: Path) -> None:
    with finished(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.sort(copies, order="position"))
