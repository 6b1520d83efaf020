"""Muon over matrices that are divided among ranks: each matrix has one owner, which makes it orthogonal.

Newton-Schulz needs whole matrices. Every rank updates the momentum of its rows; one exchange takes the rows
of each matrix to its owner, and a second one takes the result back. So each matrix is computed once, and no
rank holds other whole matrices than its own. Weights move as by `Muon`.
"""

from collections.abc import Sequence
from itertools import chain
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor, Shard

from incoder.training.muon import Muon
from incoder.training.sharding import divided, local_rows


class ShardedMuon(Muon):
    """Moves matrices as `Muon` does; all are divided by rows among the same ranks, which step together."""

    def _directions(self, momenta: Sequence[Tensor]) -> Sequence[Tensor]:
        if not momenta:
            return []
        sharded = [cast(DTensor, momentum) for momentum in momenta]
        exchange = _Exchange(sharded, self._precision)
        rows = [local_rows(momentum).to(self._precision) for momentum in sharded]
        directions = super()._directions(exchange.to_owners(rows))
        returned = exchange.from_owners(directions)
        return [divided(part, like) for part, like in zip(returned, sharded, strict=True)]


def owners(shapes: Sequence[Sequence[int]], num_ranks: int) -> list[int]:
    """Choose a rank for each matrix: the costliest first, each to the rank with the least to do so far.

    >>> owners([(8, 8), (16, 16), (8, 8), (8, 8)], num_ranks=2)
    [1, 0, 1, 1]
    """
    loads = [0] * num_ranks
    chosen = [0] * len(shapes)
    for number in sorted(range(len(shapes)), key=lambda number: -_cost(shapes[number])):
        chosen[number] = loads.index(min(loads))
        loads[chosen[number]] += _cost(shapes[number])
    return chosen


def _cost(shape: Sequence[int]) -> int:
    """The operations of Newton-Schulz for one matrix: five times two products of m²n and one of m³."""
    short, long = sorted(shape)
    return 20 * short * short * long + 10 * short**3


class _Exchange:
    """Which rank owns which matrix, and the two exchanges of rows with the owners."""

    def __init__(self, matrices: Sequence[DTensor], precision: torch.dtype) -> None:
        like = matrices[0]
        self._empty = torch.empty(0, dtype=precision, device=like.device)
        dimension = next(i for i, placement in enumerate(like.placements) if isinstance(placement, Shard))
        self._group = like.device_mesh.get_group(dimension)
        self._rank = like.device_mesh.get_local_rank(dimension)
        self._ranks = range(like.device_mesh.size(dimension))
        self._shapes = [matrix.shape for matrix in matrices]
        owner_of = owners(self._shapes, len(self._ranks))
        self._owned = [[n for n, owner in enumerate(owner_of) if owner == rank] for rank in self._ranks]

    def to_owners(self, rows: Sequence[Tensor]) -> list[Tensor]:
        """Send this rank's rows of each matrix to its owner; return this rank's matrices, whole."""
        own = self._owned[self._rank]
        received = self._exchanged(
            [[rows[number] for number in owned] for owned in self._owned],
            [[self._part_shape(number, rank) for number in own] for rank in self._ranks],
        )
        return [torch.cat(parts) for parts in zip(*received, strict=True)]

    def from_owners(self, matrices: Sequence[Tensor]) -> list[Tensor]:
        """Send the rows of this rank's matrices to the ranks they belong to; return this rank's of each."""
        own = self._owned[self._rank]
        parts = [
            torch.split(matrix, [self._part_shape(number, rank)[0] for rank in self._ranks])
            for number, matrix in zip(own, matrices, strict=True)
        ]
        received = self._exchanged(
            [[part[rank] for part in parts] for rank in self._ranks],
            [[self._part_shape(number, self._rank) for number in owned] for owned in self._owned],
        )
        by_number = dict(zip(chain(*self._owned), chain(*received), strict=True))
        return [by_number[number] for number in range(len(self._shapes))]

    def _part_shape(self, number: int, rank: int) -> tuple[int, int]:
        """The shape of a rank's rows of a matrix, as `torch.chunk` divides it."""
        num_rows, num_columns = self._shapes[number]
        size = -(-num_rows // len(self._ranks))
        return max(0, min(size, num_rows - rank * size)), num_columns

    def _exchanged(
        self, sent: Sequence[Sequence[Tensor]], shapes: Sequence[Sequence[tuple[int, int]]]
    ) -> list[list[Tensor]]:
        """Send tensors to each rank; return the tensors from each rank, whose shapes are known."""
        counts = [sum(tensor.numel() for tensor in tensors) for tensors in sent]
        sizes = [[rows * columns for rows, columns in part] for part in shapes]
        packed = torch.cat([self._empty, *(tensor.flatten() for tensor in chain(*sent))])
        unpacked = self._empty.new_empty(sum(map(sum, sizes)))
        dist.all_to_all_single(unpacked, packed, list(map(sum, sizes)), counts, group=self._group)
        tensors = iter(torch.split(unpacked, list(chain(*sizes))))
        return [[next(tensors).view(shape) for shape in part] for part in shapes]
