"""A rank's share of work that all ranks know: rows of a batch, items of an evaluation.

FSDP's passes are collective: each rank must do as many as every other. A rank whose share is smaller fills it
up. Knows nothing of how ranks communicate.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import TypeVar

import numpy as np

from incoder.objective.packing import IGNORED, PADDING, PackedRows
from incoder.training.ranks import Place

T = TypeVar("T")


def micro_batches(rows: PackedRows, place: Place, size: int | None) -> Iterator[PackedRows]:
    """Yield a rank's rows of a batch, at most `size` at a time; the number of parts is equal on all ranks.

    Rank r of W has the rows r, r + W, r + 2W and so on. A part in which it has none is one empty row, which
    has no target.
    """
    own = rows[place.rank :: place.world_size]
    most = -(-len(rows) // place.world_size)
    step = size or most
    for start in range(0, most, step):
        part = own[start : start + step]
        yield part if len(part) else empty_row(rows)


def empty_row(rows: PackedRows) -> PackedRows:
    """A row as wide as the others, of padding alone."""
    zeros = np.zeros_like(rows.token_ids[:1])
    return PackedRows(
        token_ids=zeros,
        targets=np.full_like(zeros, IGNORED),
        segment_ids=np.full_like(zeros, PADDING),
        positions=zeros,
    )


def own_turns(items: Iterable[T], place: Place) -> Iterator[T | None]:
    """Yield a rank's items, every W-th, and then None if other ranks have one more.

    >>> [list(own_turns("abcd", Place(rank, world_size=3))) for rank in range(3)]
    [['a', 'd'], ['b', None], ['c', None]]
    """
    number = 0
    for number, item in zip(count(1), items):
        if (number - 1) % place.world_size == place.rank:
            yield item
    if number % place.world_size and place.rank >= number % place.world_size:
        yield None
