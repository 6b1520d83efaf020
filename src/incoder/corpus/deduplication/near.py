"""Near-deduplication by MinHash: documents that share most of their n-grams of five words.

Each document leaves a sketch of 1 kB; pairs that agree in one of the sketch's bands are compared by the
share of the sketch that is equal, which estimates the overlap (Jaccard). Documents joined by such pairs are
one cluster, and the one with the most stars stays. StarCoder's numbers: five words, 250 permutations.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from incoder.corpus.deduplication.exact import DUPLICATE_ROW, Duplicates
from incoder.corpus.text.words import Hashes, ngram_hashes
from incoder.extras import missing_extra

Sketches = np.ndarray[tuple[int, int], np.dtype[np.uint32]]

NUM_WORDS = 5
NUM_BANDS = 25  # with ten rows each, the chance to be compared is a half at an overlap of 0.70
ROWS_PER_BAND = 10
NUM_PERMUTATIONS = NUM_BANDS * ROWS_PER_BAND
NEAR_DUPLICATE = "near duplicate"

_SEED = 1


def shingles(words: Sequence[bytes]) -> Hashes:
    """The hashes of all n-grams of five words in a text."""
    return np.unique(ngram_hashes(words, NUM_WORDS))


def sketches(sets: Sequence[Hashes]) -> Sketches:
    """One row per set of shingles. An empty set has a sketch of zeros and no near-duplicates.

    Raises:
        IncoderError: rensa is not installed.
    """
    try:
        from rensa import RMinHash
    except ImportError as error:
        raise missing_extra("near deduplication needs rensa", "corpus") from error
    ends = np.cumsum([0, *map(len, sets)]).tolist()
    flat = np.concatenate([*sets, np.empty(0, np.uint64)])
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(flat, ends, NUM_PERMUTATIONS, _SEED)
    found: Sketches = np.array(matrix.to_rows(), np.uint32).reshape(len(sets), NUM_PERMUTATIONS)
    found[[len(one) == 0 for one in sets]] = 0
    return found


def near_duplicates_among(
    sketches_NP: Sketches,
    stars: np.ndarray[Any, Any],
    ties: np.ndarray[Any, Any],
    positions: np.ndarray[Any, Any],
    threshold: float,
) -> Duplicates:
    """The positions of the documents to drop, each with that of the document kept for its cluster.

    All four arrays describe the same documents, in any order; stars, ties and positions are as in SIGNATURE.
    """
    best_first = np.lexsort([positions, ties, -stars])
    sketches_NP, positions = sketches_NP[best_first], positions[best_first]
    with_shingles = np.flatnonzero(sketches_NP.any(axis=1))
    parents = np.arange(len(positions))
    for band in range(NUM_BANDS):
        rows = sketches_NP[:, band * ROWS_PER_BAND : (band + 1) * ROWS_PER_BAND]
        for one, other in _pairs(rows, with_shingles):
            if np.mean(sketches_NP[one] == sketches_NP[other]) >= threshold:
                _join(parents, one, other)
    roots = np.array([_root(parents, number) for number in range(len(parents))], np.int64)
    dropped = np.flatnonzero(roots != np.arange(len(parents)))
    duplicates = np.empty(len(dropped), DUPLICATE_ROW)
    duplicates["position"], duplicates["kept"] = positions[dropped], positions[roots[dropped]]
    return np.sort(duplicates, order="position")


def _pairs(rows_NR: np.ndarray[Any, Any], indices: np.ndarray[Any, Any]) -> list[tuple[int, int]]:
    """The pairs to compare: the best document of each bucket with each other. `indices` are best first."""
    _, buckets = np.unique(rows_NR[indices], axis=0, return_inverse=True)
    order = np.lexsort([indices, buckets.ravel()])
    pairs, first = list[tuple[int, int]](), -1
    previous_bucket = -1
    for index, bucket in zip(indices[order].tolist(), buckets.ravel()[order].tolist(), strict=True):
        if bucket != previous_bucket:
            first, previous_bucket = index, bucket
        else:
            pairs.append((first, index))
    return pairs


def _join(parents: np.ndarray[Any, Any], one: int, other: int) -> None:
    """Join two clusters; the better leader, which has the lower number, leads the joint one."""
    first, second = sorted((_root(parents, one), _root(parents, other)))
    parents[second] = first


def _root(parents: np.ndarray[Any, Any], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = int(parents[number])
    return number
