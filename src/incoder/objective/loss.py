"""Cross-entropy over a large vocabulary without ever holding the logits of all positions.

The output layer and the loss in one function: hidden states and the output weight in, the summed loss out.
Gradients are computed chunk by chunk together with the loss. Agrees with `F.cross_entropy`.
"""

from typing import Any, cast

import torch
from torch import Tensor

_CHUNK_SIZES = {
    "cpu": 256,
    "cuda": 8192,
}  # positions: few fit into a CPU's cache, many amortize a kernel launch


def chunked_cross_entropy(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    targets_N: Tensor,
    *,
    ignore_index: int = -100,
    frozen_rows: Tensor | None = None,
    chunk_size: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the summed cross-entropy of `hidden @ weight.T` against the targets, and the number of targets.

    Positions with the target `ignore_index` are left out. The rows `frozen_rows` of the weight get no
    gradient: they belong to tokens that are never a target, which the softmax would push in one direction.
    Matrix products have autocast's precision where it is on; the loss itself is in float32. The gradient
    cannot be differentiated again.

    >>> hidden_ND, weight_VD, targets_N = torch.eye(2), torch.eye(2), torch.tensor([0, -100])
    >>> loss_sum, num_targets = chunked_cross_entropy(hidden_ND, weight_VD, targets_N)
    >>> round(float(loss_sum), 4), int(num_targets)
    (0.3133, 1)
    """
    device_type = hidden_ND.device.type
    if chunk_size is None:
        chunk_size = _CHUNK_SIZES.get(device_type, _CHUNK_SIZES["cpu"])
    dtype = (
        torch.get_autocast_dtype(device_type) if torch.is_autocast_enabled(device_type) else hidden_ND.dtype
    )
    wants_gradient = torch.is_grad_enabled() and (hidden_ND.requires_grad or weight_VD.requires_grad)
    wants_weight_gradient = wants_gradient and weight_VD.requires_grad  # not where the weight is frozen
    return cast(
        tuple[Tensor, Tensor],
        _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
            hidden_ND,
            weight_VD,
            targets_N,
            ignore_index,
            frozen_rows,
            chunk_size,
            dtype,
            wants_gradient,
            wants_weight_gradient,
        ),
    )


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        weight_VD: Tensor,
        targets_N: Tensor,
        ignore_index: int,
        frozen_rows: Tensor | None,
        chunk_size: int,
        dtype: torch.dtype,
        wants_gradient: bool,
        wants_weight_gradient: bool,
    ) -> tuple[Tensor, Tensor]:
        trained_M = (targets_N != ignore_index).nonzero().squeeze(1)
        hidden_MD = hidden_ND.detach()[trained_M].to(dtype)
        targets_M = targets_N[trained_M]
        weight = weight_VD.detach().to(dtype)
        loss = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        hidden_gradient_MD = torch.empty_like(hidden_MD) if wants_gradient else None
        weight_gradient_VD = torch.zeros_like(weight, dtype=torch.float32) if wants_weight_gradient else None
        # Buffers for one chunk, reused: fresh memory of this size costs page faults each time.
        all_logits_CV = weight.new_empty(min(chunk_size, len(trained_M)), len(weight))
        all_probs_CV = torch.empty_like(all_logits_CV, dtype=torch.float32)
        chunk_gradient_VD = torch.empty_like(weight)
        with torch.autocast(hidden_ND.device.type, enabled=False):
            for start in range(0, len(trained_M), chunk_size):
                hidden_CD = hidden_MD[start : start + chunk_size]
                targets_C1 = targets_M[start : start + chunk_size, None]
                logits_CV, probs_CV = all_logits_CV[: len(hidden_CD)], all_probs_CV[: len(hidden_CD)]
                torch.mm(hidden_CD, weight.T, out=logits_CV)
                torch.softmax(logits_CV, 1, dtype=torch.float32, out=probs_CV)
                # log-sum-exp from the most probable token, whose probability never underflows: a fused
                # softmax and two maxima cost less than logsumexp and exp.
                lse_C = logits_CV.amax(1).float() - probs_CV.amax(1).log()
                loss += (lse_C - logits_CV.gather(1, targets_C1).squeeze(1).float()).sum()
                if hidden_gradient_MD is None:
                    continue
                probs_CV.scatter_add_(1, targets_C1, probs_CV.new_full(targets_C1.shape, -1.0))
                gradient_CV = logits_CV.copy_(probs_CV)
                torch.mm(gradient_CV, weight, out=hidden_gradient_MD[start : start + chunk_size])
                if weight_gradient_VD is not None:
                    weight_gradient_VD += torch.mm(gradient_CV.T, hidden_CD, out=chunk_gradient_VD)
        if weight_gradient_VD is not None and frozen_rows is not None:
            weight_gradient_VD.index_fill_(0, frozen_rows, 0.0)
        num_targets = torch.tensor(len(trained_M), device=hidden_ND.device)
        ctx.mark_non_differentiable(num_targets)
        ctx.save_for_backward(trained_M, hidden_gradient_MD, weight_gradient_VD)
        ctx.hidden_like = (hidden_ND.shape, hidden_ND.dtype)
        ctx.weight_dtype = weight_VD.dtype
        return loss, num_targets

    @staticmethod
    def backward(ctx: Any, loss_gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        trained_M, hidden_gradient_MD, weight_gradient_VD = ctx.saved_tensors
        shape, dtype = ctx.hidden_like
        hidden_gradient_ND = torch.zeros(shape, dtype=dtype, device=trained_M.device)
        hidden_gradient_ND[trained_M] = (hidden_gradient_MD * loss_gradient).to(dtype)
        if weight_gradient_VD is not None:
            weight_gradient_VD = (weight_gradient_VD * loss_gradient).to(ctx.weight_dtype)
        return hidden_gradient_ND, weight_gradient_VD, *[None] * 7
