"""Attention: the mask that all layers share, and the fastest implementation on this machine.

Knows no weights, no layers and no cache. H query heads share K heads of keys and values.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]  # q_BHTd, k_BKSd, v_BKSd to mixed_BHTd

_LONGEST_BY_HAND = 1024  # tokens in a row; measured in `_is_faster_by_hand`


@dataclass(frozen=True, slots=True)
class Segments:
    """Rows with several packed texts: each token attends to the earlier tokens of its own text.

    `ids_BT` is equal for the tokens of one text. `starts` (int32) is where each text begins in the
    concatenated rows, and the total length last. `longest` is the number of tokens of the longest text.
    """

    ids_BT: Tensor
    starts: Tensor
    longest: int

    @classmethod
    def of(cls, ids_BT: Tensor) -> "Segments":
        """Find the segments, on the ids' device; best on the CPU, where it needs no synchronisation."""
        is_start_BT = torch.ones_like(ids_BT, dtype=torch.bool)
        is_start_BT[:, 1:] = ids_BT[:, 1:] != ids_BT[:, :-1]
        end = torch.tensor([ids_BT.numel()], device=ids_BT.device)
        starts = torch.cat((is_start_BT.flatten().nonzero()[:, 0], end)).int()
        return cls(ids_BT, starts, int(starts.diff().max()))

    def to(self, device: torch.device) -> "Segments":
        """Copy to another device."""
        return Segments(self.ids_BT.to(device), self.starts.to(device), self.longest)

    def mask(self) -> Tensor:
        """Return the equivalent mask [B, 1, T, T], True where a query may attend to a key.

        >>> Segments.of(torch.tensor([[0, 0, 1]])).mask()[0, 0].int().tolist()
        [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
        """
        return (self.ids_BT[:, None, :, None] == self.ids_BT[:, None, None, :]).tril()


def choose_attention(
    token_ids_BT: Tensor,
    mask: Tensor | Segments | None,
    *,
    num_past: int,
    is_cached: bool,
    dtype: torch.dtype,
) -> Attend:
    """Return the attention function of all layers in one forward pass; the mask is built here, once.

    `mask` is bool, broadcastable to [B, 1, T, S], and already causal. Without a mask, every query attends to
    all keys up to its own position; the last of the T queries has the position `num_past` + T - 1. `dtype` is
    the queries' dtype.
    """
    if isinstance(mask, Segments):
        if token_ids_BT.is_cuda and dtype.itemsize == 2 and _flash() is not None:
            return partial(attend_in_segments, segments=mask)
        mask = mask.mask()
    batch_size, num_queries = token_ids_BT.shape
    num_keys = num_past + num_queries
    by_hand = not is_cached and _is_faster_by_hand(num_queries, dtype, token_ids_BT.device)
    if mask is None and (by_hand or (num_past and num_queries > 1)):
        mask = torch.ones(num_queries, num_keys, dtype=torch.bool, device=token_ids_BT.device).tril(num_past)
    if mask is None:
        return partial(attend_fused, mask=None, is_causal=num_queries > 1)
    additive = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    # Not -inf: a query that may attend to nothing, as in padding, must not become NaN.
    additive.masked_fill_(~mask, torch.finfo(dtype).min)
    if by_hand:
        return partial(attend_by_hand, mask_B1TT=additive.expand(batch_size, 1, num_queries, num_keys))
    return partial(attend_fused, mask=additive, is_causal=False)


def attend_fused(
    q_BHTd: Tensor, k_BKSd: Tensor, v_BKSd: Tensor, *, mask: Tensor | None, is_causal: bool
) -> Tensor:
    """Attend with PyTorch's kernels: the default, unless `attend_by_hand` is faster."""
    if mask is not None and q_BHTd.is_cuda:  # on CUDA, only the slowest kernel takes a mask and shared keys
        k_BKSd, v_BKSd = _one_for_each_head(q_BHTd, k_BKSd, v_BKSd)
    return F.scaled_dot_product_attention(
        q_BHTd,
        k_BKSd,
        v_BKSd,
        attn_mask=mask,
        is_causal=is_causal,
        enable_gqa=q_BHTd.shape[1] != k_BKSd.shape[1],
    )


def attend_in_segments(q_BHTd: Tensor, k_BKTd: Tensor, v_BKTd: Tensor, *, segments: Segments) -> Tensor:
    """Attend with FlashAttention on the concatenated rows: half precision on CUDA, with no mask to read."""
    flash = _flash()
    assert flash is not None
    k_BHTd, v_BHTd = _one_for_each_head(q_BHTd, k_BKTd, v_BKTd)
    q_NHd, k_NHd, v_NHd = (tensor.transpose(1, 2).flatten(0, 1) for tensor in (q_BHTd, k_BHTd, v_BHTd))
    starts, longest = segments.starts, segments.longest
    mixed_NHd: Tensor = flash(q_NHd, k_NHd, v_NHd, starts, starts, longest, longest)
    return mixed_NHd.view(len(q_BHTd), -1, *mixed_NHd.shape[1:]).transpose(1, 2)


def _one_for_each_head(q_BHTd: Tensor, k_BKSd: Tensor, v_BKSd: Tensor) -> tuple[Tensor, Tensor]:
    """Repeat the keys and values for every query head that shares them."""
    num_sharing = q_BHTd.shape[1] // k_BKSd.shape[1]
    return k_BKSd.repeat_interleave(num_sharing, dim=1), v_BKSd.repeat_interleave(num_sharing, dim=1)


@cache
def _flash() -> Callable[..., Any] | None:
    """Return PyTorch's causal FlashAttention for packed texts, or None; its signature still changes."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    is_causal_by_window = "window_size" in inspect.signature(varlen_attn).parameters
    return partial(varlen_attn, **({"window_size": (-1, 0)} if is_causal_by_window else {"is_causal": True}))


def _is_faster_by_hand(num_queries: int, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether this is training on a CPU in half precision, with rows that are not too long.

    In that case forward and backward pass of `attend_by_hand` take 0.4 of the fused kernels' time with rows
    of 256 and 512 tokens, 0.5 with 1024, and the same time with 2048; in float32 they take 0.8 to 1.7. A
    training step of a small network is 1.3 to 1.5 times as fast (bfloat16, AVX-512, one thread and two; the
    same with torch.compile).
    """
    return (
        device.type == "cpu"
        and torch.is_grad_enabled()
        and dtype != torch.float32
        and num_queries <= _LONGEST_BY_HAND
    )


def attend_by_hand(q_BHTd: Tensor, k_BKTd: Tensor, v_BKTd: Tensor, *, mask_B1TT: Tensor) -> Tensor:
    """Causal attention of whole rows, in four chunks of queries, each with the keys up to its last query."""
    num_kv_heads, num_queries, head_dim = k_BKTd.shape[1:]
    q_BKGTd = (q_BHTd * head_dim**-0.5).unflatten(1, (num_kv_heads, -1))
    size = -(-num_queries // 4)
    mixed = []
    for start in range(0, num_queries, size):
        end = min(start + size, num_queries)
        q_BKGQd = q_BKGTd[:, :, :, start:end]
        scores = q_BKGQd.flatten(2, 3) @ k_BKTd[:, :, :end].transpose(-1, -2)
        masked_BKGQS = scores.view(*q_BKGQd.shape[:-1], end) + mask_B1TT[:, :, None, start:end, :end]
        weights = masked_BKGQS.softmax(dim=-1).flatten(2, 3)
        mixed.append((weights @ v_BKTd[:, :, :end]).view_as(q_BKGQd))
    return torch.cat(mixed, dim=3).flatten(1, 2)  # [B, H, T, d]
