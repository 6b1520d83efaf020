"""The norm of all gradients, and clipping by it, also where each rank has only its rows of them."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from incoder.training.ranks import Ranks

_EPSILON = 1e-6  # as in PyTorch's clip_grad_norm_


def clip_gradients(parameters: Sequence[nn.Parameter], max_norm: float, ranks: Ranks) -> float:
    """Scale all gradients down to `max_norm`, if their norm is greater; return the norm before.

    One rank adds up in float32, as PyTorch does, so that its losses stay what they were. Several
    ranks add up in float64: in float32 the sum would depend on how many they are (by 6e-6 on a CPU).

    >>> weight = nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> clip_gradients([weight], 1.0, Ranks()), weight.grad
    (5.0, tensor([0.6000, 0.8000]))
    """
    if not ranks.is_sharded:
        return float(nn.utils.clip_grad_norm_(parameters, max_norm))
    gradients, num_copies = _own_rows(parameters)
    if ranks.place.world_size == 1:
        norm = nn.utils.get_total_norm(gradients)
    else:
        own = torch.stack([torch.linalg.vector_norm(rows, dtype=torch.float64) for rows in gradients])
        [squares] = ranks.sum(float(own.square().sum()))
        norm = torch.tensor(math.sqrt(squares / num_copies), device=own.device)
    torch._foreach_mul_(gradients, (max_norm / (norm + _EPSILON)).clamp(max=1.0))
    return float(norm)


def _own_rows(parameters: Sequence[nn.Parameter]) -> tuple[list[Tensor], int]:
    """This rank's rows of the gradients, and how many ranks hold the same rows (HSDP)."""
    from torch.distributed.tensor import DTensor, Replicate

    gradients = [parameter.grad for parameter in parameters if isinstance(parameter.grad, DTensor)]
    placements = enumerate(gradients[0].placements)
    mesh = gradients[0].device_mesh
    num_copies = math.prod(mesh.size(i) for i, placement in placements if isinstance(placement, Replicate))
    return [gradient.to_local() for gradient in gradients], num_copies
