"""Attention of the new tokens of one step to all tokens of their sequences, in place in the cache.

There are three ways, each used where it is the fastest:

- The slots of a sequence are one extent: PyTorch's attention reads a view of the cache.
- A chunk of several tokens over several extents: the extents are concatenated first.
- One new token each in many sequences over several extents (decoding candidates that share a prompt): a long
  or shared extent is read once for all sequences that have it, and the short rest of every sequence is
  gathered and padded. The partial attention states are merged by their log-sum-exps (cascade attention, as in
  Hydragen, arXiv 2402.05099).

Knows slots, not blocks.
"""

import math
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from incoder.inference.backends.backend import Chunk, new_slots_of
from incoder.inference.cache.kv_cache import KVCache
from incoder.inference.cache.sequence import Extent
from incoder.model.attention import Attend, choose_attention

# The number of slots from which an extent is read in place even for one sequence: a gather would copy it.
_MIN_SLOTS_IN_PLACE = 256

# The output of attention over some of the keys [n, H, d] and the log-sum-exp of their scores [n, H], both in
# float32. `merge_state` combines two of them into the output over all the keys.
AttentionState = tuple[Tensor, Tensor]


class StepAttention:
    """Attention in every layer of one step; the tokens of the chunks are concatenated."""

    def __init__(self, cache: KVCache, chunks: Sequence[Chunk]) -> None:
        self._cache = cache
        device, dtype = cache.keys[0].device, cache.keys[0].dtype
        new_slots = new_slots_of(chunks)
        self._new_slots = _as_slice(new_slots) or torch.tensor(new_slots, device=device)
        self._by_chunk: list[tuple[slice, Sequence[Extent], Attend]] = []
        cascade_indices: list[int] = []
        cascade_extents: list[Sequence[Extent]] = []
        index = 0
        for chunk in chunks:
            num_new, extents = len(chunk.token_ids), chunk.sequence.extents()
            if num_new == 1 and len(extents) > 1:
                cascade_indices.append(index)
                cascade_extents.append(extents)
            else:
                shape = torch.empty(1, num_new, device=device)
                attend = choose_attention(shape, None, num_past=chunk.start, is_cached=True, dtype=dtype)
                self._by_chunk.append((slice(index, index + num_new), extents, attend))
            index += num_new
        self._is_single = len(chunks) == 1 and not cascade_indices
        self._cascade_indices = torch.tensor(cascade_indices, device=device)
        self._cascade = _CascadeAttention(cascade_extents, device) if cascade_indices else None

    def __call__(self, layer: int, q_NHd: Tensor, k_NKd: Tensor, v_NKd: Tensor) -> Tensor:
        """Write the new keys and values of this layer to the cache, then attend: [N, H, d]."""
        keys_KSd, values_KSd = self._cache.keys[layer], self._cache.values[layer]
        keys_KSd[:, self._new_slots] = k_NKd.transpose(0, 1)
        values_KSd[:, self._new_slots] = v_NKd.transpose(0, 1)
        q_1HNd = q_NHd.transpose(0, 1)[None]
        if self._is_single:
            ((_, extents, attend),) = self._by_chunk
            mixed_1HNd = attend(q_1HNd, _concatenated(keys_KSd, extents), _concatenated(values_KSd, extents))
            return mixed_1HNd[0].transpose(0, 1)
        mixed_NHd = torch.empty_like(q_NHd, memory_format=torch.contiguous_format)
        for rows, extents, attend in self._by_chunk:
            mixed_1HTd = attend(
                q_1HNd[:, :, rows], _concatenated(keys_KSd, extents), _concatenated(values_KSd, extents)
            )
            mixed_NHd[rows] = mixed_1HTd[0].transpose(0, 1)
        if self._cascade is not None:
            mixed_nHd = self._cascade(q_NHd[self._cascade_indices], keys_KSd, values_KSd)
            mixed_NHd[self._cascade_indices] = mixed_nHd.to(mixed_NHd.dtype)
        return mixed_NHd


def attend_gathered(
    q_nHd: Tensor, keys_KSd: Tensor, values_KSd: Tensor, slots_nR: Tensor, is_padding_nR: Tensor | None
) -> AttentionState:
    """Attend from each row to the keys in its own slots.

    >>> values_KSd = torch.tensor([[[1.0], [3.0]]])
    >>> keys_KSd, slots_nR = torch.zeros(1, 2, 1), torch.tensor([[0, 1]])
    >>> mixed_nHd, _ = attend_gathered(torch.zeros(1, 1, 1), keys_KSd, values_KSd, slots_nR, None)
    >>> mixed_nHd.item()
    2.0
    """
    gathered = (len(keys_KSd), *slots_nR.shape, -1)
    keys_KnRd = keys_KSd.index_select(1, slots_nR.flatten()).view(gathered)
    values_KnRd = values_KSd.index_select(1, slots_nR.flatten()).view(gathered)
    q_KnGd = _grouped(q_nHd, len(keys_KSd)).transpose(0, 1)
    scores_KnGR = torch.matmul(q_KnGd, keys_KnRd.transpose(-1, -2)).float()
    if is_padding_nR is not None:
        scores_KnGR.masked_fill_(is_padding_nR[:, None], -math.inf)
    log_sums_KnG = scores_KnGR.logsumexp(dim=-1)
    # A row of nothing but padding has the log-sum-exp -inf, and -inf - -inf would be NaN.
    finite_KnG1 = log_sums_KnG.clamp_min(torch.finfo(torch.float32).min)[..., None]
    weights_KnGR = (scores_KnGR - finite_KnG1).exp_().to(values_KnRd.dtype)
    mixed_KnGd = torch.matmul(weights_KnGR, values_KnRd).float()
    return mixed_KnGd.transpose(0, 1).flatten(1, 2), log_sums_KnG.transpose(0, 1).flatten(1, 2)


def _grouped(q_nHd: Tensor, num_kv_heads: int) -> Tensor:
    """Return scaled queries [n, K, G, d], grouped by the key/value head that they share."""
    num_rows, _, head_dim = q_nHd.shape
    return (q_nHd / math.sqrt(head_dim)).view(num_rows, num_kv_heads, -1, head_dim)


class _CascadeAttention:
    """One query each of several sequences, merged from shared extents (in place) and gathered slots."""

    def __init__(self, extents: Sequence[Sequence[Extent]], device: torch.device) -> None:
        users: dict[Extent, list[int]] = defaultdict(list)
        for row, row_extents in enumerate(extents):
            for extent in row_extents:
                users[extent].append(row)
        in_place = {
            extent: rows
            for extent, rows in users.items()
            if len(rows) > 1 or extent.end - extent.start >= _MIN_SLOTS_IN_PLACE
        }
        self._in_place = [
            (slice(*extent), slice(None) if len(rows) == len(extents) else torch.tensor(rows, device=device))
            for extent, rows in in_place.items()
        ]
        rest = [
            [slot for extent in row_extents if extent not in in_place for slot in range(*extent)]
            for row_extents in extents
        ]
        num_slots = max(map(len, rest))
        self._num_slots = num_slots
        # Padding points at a slot that was written: unwritten slots may hold NaN, and 0 · NaN is NaN.
        written = extents[0][-1].end - 1
        padded = [[*slots, *[written] * (num_slots - len(slots))] for slots in rest]
        self._slots_nR = torch.tensor(padded, device=device)
        lengths = [len(slots) for slots in rest]
        self._is_padding_nR: Tensor | None = None
        if min(lengths) < num_slots:
            lengths_n1 = torch.tensor(lengths, device=device)[:, None]
            self._is_padding_nR = torch.arange(num_slots, device=device) >= lengths_n1

    def __call__(self, q_nHd: Tensor, keys_KSd: Tensor, values_KSd: Tensor) -> Tensor:
        """Return the outputs of attention [n, H, d], float32."""
        total: AttentionState | None = None
        if self._num_slots:
            total = attend_gathered(q_nHd, keys_KSd, values_KSd, self._slots_nR, self._is_padding_nR)
        q_nKGd = _grouped(q_nHd, len(keys_KSd))
        for extent, rows in self._in_place:
            state = _attend_to_extent(q_nKGd[rows], keys_KSd[:, extent], values_KSd[:, extent])
            total = merge_state(total, state, rows, len(q_nHd))
        assert total is not None
        return total[0]


def _attend_to_extent(q_nKGd: Tensor, keys_KLd: Tensor, values_KLd: Tensor) -> AttentionState:
    """Attend from all rows to the same keys: one matrix product reads them once for all rows."""
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


def merge_state(
    total: AttentionState | None, state: AttentionState, rows: slice | Tensor, num_rows: int
) -> AttentionState:
    """Merge two partial attention states by their log-sum-exps: in `rows`, attend to the keys of both.

    >>> half = torch.ones(1, 1, 2), torch.zeros(1, 1)
    >>> merge_state(half, half, slice(None), num_rows=1)[0].flatten().tolist()
    [1.0, 1.0]
    """
    if total is None:
        if isinstance(rows, slice):
            return state
        mixed = torch.zeros(num_rows, *state[0].shape[1:], device=state[0].device)
        total = mixed, torch.full(mixed.shape[:-1], -math.inf, device=mixed.device)
    mixed_nHd, log_sums_nH = total[0][rows], total[1][rows]
    merged_nH = torch.logaddexp(log_sums_nH, state[1])
    mixed_nHd = mixed_nHd * (log_sums_nH - merged_nH).exp()[..., None]
    mixed_nHd = mixed_nHd + state[0] * (state[1] - merged_nH).exp()[..., None]
    if isinstance(rows, slice):
        return mixed_nHd, merged_nH
    return total[0].index_copy(0, rows, mixed_nHd), total[1].index_copy(0, rows, merged_nH)


def _concatenated(tensor_KSd: Tensor, extents: Sequence[Extent]) -> Tensor:
    """Return the slots [1, K, L, d]: a view of a single extent, a copy of several."""
    if len(extents) == 1:
        return tensor_KSd[None, :, slice(*extents[0])]
    return torch.cat([tensor_KSd[:, slice(*extent)] for extent in extents], dim=1)[None]


def _as_slice(slots: Sequence[int]) -> slice | None:
    """Return the slots as a slice, which is faster to index with, or None if they are not contiguous."""
    is_contiguous = all(slot == slots[0] + i for i, slot in enumerate(slots))
    return slice(slots[0], slots[-1] + 1) if is_contiguous else None
