"""The second stage: signatures in, the positions of the documents to drop out.

Exact copies are searched for in parts of the signatures, each by itself; the paper's one pass and the search
for near copies see all documents at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from incoder.corpus.deduplication import DeduplicationSettings
from incoder.corpus.deduplication.copies import SIGNATURE, Signatures, copies_among, part_of
from incoder.corpus.deduplication.near_copies import near_copies_among
from incoder.corpus.deduplication.one_pass import SeenKeys
from incoder.corpus.engine.stage import OnBytes
from incoder.corpus.engine.work_folder import finished
from incoder.corpus.stages.layout import ROW_BITS, copies_file, signatures_file, sketches_file

EXACT = "exact"
NEAR = "near"

Positions = np.ndarray[tuple[int], np.dtype[np.uint64]]


@dataclass(frozen=True, slots=True)
class FindCopies:
    """Exact copies in one of `num_parts` parts; with `method = "paper"` there is one part, in order."""

    run: Path
    num_pieces: int
    num_parts: int
    settings: DeduplicationSettings

    def __call__(self, task: int, on_bytes: OnBytes) -> None:  # noqa: ARG002 - it takes a moment
        if self.settings.method == "paper":
            copies = np.fromiter(self._in_one_pass(), np.uint64)
        else:
            found = [self._part(piece, task) for piece in range(self.num_pieces)]
            copies = copies_among(np.concatenate([*found, np.empty(0, SIGNATURE)]))["position"]
        _save(copies, copies_file(self.run, EXACT, task))

    def _part(self, piece: int, part: int) -> Signatures:
        signatures = np.load(signatures_file(self.run, piece), mmap_mode="r")
        parts = part_of(signatures, self.num_parts)
        start, end = np.searchsorted(parts, [part, part + 1])
        return np.array(signatures[start:end])

    def _in_one_pass(self) -> Iterator[int]:
        seen = SeenKeys(self.settings.expected_documents, self.settings.error_rate)
        for piece in range(self.num_pieces):
            signatures = np.load(signatures_file(self.run, piece))
            for row in signatures[np.argsort(signatures["position"])]:
                if not seen.add(int(row["key"]).to_bytes(8) + int(row["key_rest"]).to_bytes(8)):
                    yield int(row["position"])


@dataclass(frozen=True, slots=True)
class FindNearCopies:
    """What is nearly the same among the documents that are no exact copies: one task."""

    run: Path
    num_pieces: int
    num_parts: int
    settings: DeduplicationSettings

    def __call__(self, task: int, on_bytes: OnBytes) -> None:  # noqa: ARG002 - see above
        exact = [np.load(copies_file(self.run, EXACT, part)) for part in range(self.num_parts)]
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
        _save(near["position"], copies_file(self.run, NEAR, task))


def copies_of_piece(run: Path, piece: int, search: str, num_parts: int) -> list[int]:
    """The rows of a piece that the search says to drop."""
    bounds = np.array([piece << ROW_BITS, (piece + 1) << ROW_BITS], np.uint64)
    rows = list[int]()
    for part in range(num_parts):
        positions = np.load(copies_file(run, search, part), mmap_mode="r")
        start, end = np.searchsorted(positions, bounds)
        rows += (positions[start:end] - bounds[0]).tolist()
    return rows


def _save(positions: np.ndarray[Any, Any], path: Path) -> None:
    with finished(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.sort(positions))
