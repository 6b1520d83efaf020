"""How the new tokens of one step attend to what their sequences have read, run by run and in place.

Three ways, each where it is the fastest:

- a sequence that lies in one run is a view: PyTorch's attention reads it where it is;
- several new tokens over several runs: the runs are put side by side first;
- one new token each in many sequences over several runs: a long run is read once for all sequences that
  share it, such as ten candidates for one hole; the short rest of every sequence is gathered and padded; and
  the parts are put together by the logarithms of their sums (as in Hydragen, arXiv 2402.05099).

Knows slots, not blocks.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from incoder.inference.cache.kv_cache import KVCache
from incoder.inference.cache.sequence import Run
from incoder.model.attention import Attend, choose_attention

_MANY_SLOTS = 256  # from here on a run is read in place even for one sequence alone

# Attention to some of the keys, [n, H, d], and the logarithm of its sum, [n, H]; both in float32.
Part = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Queries:
    """The last `num_new` tokens of a sequence that lies in `runs`."""

    runs: Sequence[Run]
    num_new: int


class StepAttention:
    """Attention in every layer of one step; the new tokens stand in one list, sequence after sequence."""

    def __init__(self, store: KVCache, queries: Sequence[Queries], new_slots: Sequence[int]) -> None:
        self._store = store
        device, dtype = store.keys[0].device, store.keys[0].dtype
        self._new_slots = _as_run(new_slots) or torch.tensor(new_slots, device=device)
        self._whole: list[tuple[slice, Sequence[Run], Attend]] = []
        in_parts: list[int] = []
        runs_of_parts: list[Sequence[Run]] = []
        place = 0
        for query in queries:
            if query.num_new == 1 and len(query.runs) > 1:
                in_parts.append(place)
                runs_of_parts.append(query.runs)
            else:
                num_past = sum(end - start for start, end in query.runs) - query.num_new
                shape = torch.empty(1, query.num_new, device=device)
                attend = choose_attention(shape, None, num_past=num_past, is_cached=True, dtype=dtype)
                self._whole.append((slice(place, place + query.num_new), query.runs, attend))
            place += query.num_new
        self._is_alone = len(queries) == 1 and not in_parts
        self._in_parts = torch.tensor(in_parts, device=device)
        self._parts = _Parts(runs_of_parts, device) if in_parts else None

    def __call__(self, layer: int, q_NHd: Tensor, k_NKd: Tensor, v_NKd: Tensor) -> Tensor:
        """Store the new keys and values of this layer, then attend."""
        keys_KSd, values_KSd = self._store.keys[layer], self._store.values[layer]
        keys_KSd[:, self._new_slots] = k_NKd.transpose(0, 1)
        values_KSd[:, self._new_slots] = v_NKd.transpose(0, 1)
        q_1HNd = q_NHd.transpose(0, 1)[None]
        if self._is_alone:
            ((_, runs, attend),) = self._whole
            mixed_1HNd = attend(q_1HNd, _side_by_side(keys_KSd, runs), _side_by_side(values_KSd, runs))
            return mixed_1HNd[0].transpose(0, 1)
        mixed_NHd = torch.empty_like(q_NHd, memory_format=torch.contiguous_format)
        for place, runs, attend in self._whole:
            mixed_1HTd = attend(
                q_1HNd[:, :, place], _side_by_side(keys_KSd, runs), _side_by_side(values_KSd, runs)
            )
            mixed_NHd[place] = mixed_1HTd[0].transpose(0, 1)
        if self._parts is not None:
            mixed_nHd = self._parts(q_NHd[self._in_parts], keys_KSd, values_KSd)
            mixed_NHd[self._in_parts] = mixed_nHd.to(mixed_NHd.dtype)
        return mixed_NHd


def attend_gathered(
    q_nHd: Tensor, keys_KSd: Tensor, values_KSd: Tensor, slots_nR: Tensor, is_padding_nR: Tensor | None
) -> Part:
    """Attention of each row to the keys in slots of its own."""
    gathered = (len(keys_KSd), *slots_nR.shape, -1)
    keys_KnRd = keys_KSd.index_select(1, slots_nR.flatten()).view(gathered)
    values_KnRd = values_KSd.index_select(1, slots_nR.flatten()).view(gathered)
    q_KnGd = _grouped(q_nHd, len(keys_KSd)).transpose(0, 1)
    scores_KnGR = torch.matmul(q_KnGd, keys_KnRd.transpose(-1, -2)).float()
    if is_padding_nR is not None:
        scores_KnGR.masked_fill_(is_padding_nR[:, None], -math.inf)
    log_sums_KnG = scores_KnGR.logsumexp(dim=-1)
    # A row of padding alone has a sum of zero, whose logarithm must not make numbers that are none.
    finite_KnG1 = log_sums_KnG.clamp_min(torch.finfo(torch.float32).min)[..., None]
    weights_KnGR = (scores_KnGR - finite_KnG1).exp_().to(values_KnRd.dtype)
    mixed_KnGd = torch.matmul(weights_KnGR, values_KnRd).float()
    return mixed_KnGd.transpose(0, 1).flatten(1, 2), log_sums_KnG.transpose(0, 1).flatten(1, 2)


def _grouped(q_nHd: Tensor, num_kv_heads: int) -> Tensor:
    """Scaled, [n, K, G, d]: the heads that share keys side by side."""
    num_rows, _, head_dim = q_nHd.shape
    return (q_nHd / math.sqrt(head_dim)).view(num_rows, num_kv_heads, -1, head_dim)


class _Parts:
    """One query each of several sequences: which runs are read in place, for whom, and what is gathered."""

    def __init__(self, runs: Sequence[Sequence[Run]], device: torch.device) -> None:
        users: dict[Run, list[int]] = defaultdict(list)
        for row, row_runs in enumerate(runs):
            for run in row_runs:
                users[run].append(row)
        in_place = {
            run: rows for run, rows in users.items() if len(rows) > 1 or run.end - run.start >= _MANY_SLOTS
        }
        self._in_place = [
            (slice(*run), slice(None) if len(rows) == len(runs) else torch.tensor(rows, device=device))
            for run, rows in in_place.items()
        ]
        rest = [
            [slot for run in row_runs if run not in in_place for slot in range(*run)] for row_runs in runs
        ]
        num_slots = max(map(len, rest))
        self._num_slots = num_slots
        written = runs[0][-1].end - 1  # what was never written may be NaN, and zero times that as well
        padded = [[*slots, *[written] * (num_slots - len(slots))] for slots in rest]
        self._slots_nR = torch.tensor(padded, device=device)
        lengths = [len(slots) for slots in rest]
        self._is_padding_nR: Tensor | None = None
        if min(lengths) < num_slots:
            lengths_n1 = torch.tensor(lengths, device=device)[:, None]
            self._is_padding_nR = torch.arange(num_slots, device=device) >= lengths_n1

    def __call__(self, q_nHd: Tensor, keys_KSd: Tensor, values_KSd: Tensor) -> Tensor:
        total: Part | None = None
        if self._num_slots:
            total = attend_gathered(q_nHd, keys_KSd, values_KSd, self._slots_nR, self._is_padding_nR)
        q_nKGd = _grouped(q_nHd, len(keys_KSd))
        for run, rows in self._in_place:
            part = _part(q_nKGd[rows], keys_KSd[:, run], values_KSd[:, run])
            total = _joined(total, part, rows, len(q_nHd))
        assert total is not None
        return total[0]


def _part(q_nKGd: Tensor, keys_KLd: Tensor, values_KLd: Tensor) -> Part:
    """Attention of all rows to the same keys: one product for all of them."""
    num_rows = len(q_nKGd)
    q_KMd = q_nKGd.transpose(0, 1).flatten(1, 2)  # M = n · G
    scores_KML = torch.bmm(q_KMd, keys_KLd.transpose(1, 2)).float()
    log_sums_KM = scores_KML.logsumexp(dim=-1)
    weights_KML = (scores_KML - log_sums_KM[..., None]).exp_().to(values_KLd.dtype)
    mixed_KMd = torch.bmm(weights_KML, values_KLd).float()
    num_kv_heads, head_dim = len(keys_KLd), keys_KLd.shape[-1]
    mixed_KnGd = mixed_KMd.view(num_kv_heads, num_rows, -1, head_dim)
    log_sums_KnG = log_sums_KM.view(num_kv_heads, num_rows, -1)
    return mixed_KnGd.transpose(0, 1).flatten(1, 2), log_sums_KnG.transpose(0, 1).flatten(1, 2)


def _joined(total: Part | None, part: Part, rows: slice | Tensor, num_rows: int) -> Part:
    """Attention to the keys of `total` and, in these rows, those of `part` as well."""
    if total is None:
        if isinstance(rows, slice):
            return part
        mixed = torch.zeros(num_rows, *part[0].shape[1:], device=part[0].device)
        total = mixed, torch.full(mixed.shape[:-1], -math.inf, device=mixed.device)
    mixed_nHd, log_sums_nH = total[0][rows], total[1][rows]
    joined_nH = torch.logaddexp(log_sums_nH, part[1])
    mixed_nHd = mixed_nHd * (log_sums_nH - joined_nH).exp()[..., None]
    mixed_nHd = mixed_nHd + part[0] * (part[1] - joined_nH).exp()[..., None]
    if isinstance(rows, slice):
        return mixed_nHd, joined_nH
    return total[0].index_copy(0, rows, mixed_nHd), total[1].index_copy(0, rows, joined_nH)


def _side_by_side(tensor_KSd: Tensor, runs: Sequence[Run]) -> Tensor:
    """[1, K, L, d]: a view where there is one run, else a copy."""
    if len(runs) == 1:
        return tensor_KSd[None, :, slice(*runs[0])]
    return torch.cat([tensor_KSd[:, slice(*run)] for run in runs], dim=1)[None]


def _as_run(slots: Sequence[int]) -> slice | None:
    """These slots as a slice, which is faster, if they are one."""
    is_run = all(slot == slots[0] + i for i, slot in enumerate(slots))
    return slice(slots[0], slots[-1] + 1) if is_run else None
