"""Int4 weights with a scale for each group: their layout in memory, as numba's kernels read it.

A row is divided into steps of 128 numbers, which take 64 bytes: 16 words of 32 bits with eight numbers each.
The lowest four bits of the words are the numbers 0 to 15 of the step, the next four bits are the numbers 16
to 31, and so on. So one vector of words yields eight vectors of consecutive numbers. A number n means
(n - 8) / 16 of its group's scale. Tests compare the kernels with `unpack`.
"""

import torch
from torch import Tensor

GROUP_SIZE = 64  # numbers that share a scale
PACKED_LANES = 16  # words in a step: a register of AVX-512
PACKED_STEP = 8 * PACKED_LANES  # numbers in a step
DTYPE = torch.uint8  # of packed weights


def can_pack(weight_OI: Tensor) -> bool:
    """Whether the rows of the matrix consist of whole steps.

    >>> can_pack(torch.ones(1, 256)), can_pack(torch.ones(1, 100))
    (True, False)
    """
    return weight_OI.shape[1] % PACKED_STEP == 0


def pack(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """Return the packed bytes [O, I / 2] and the scale of each group (float32 [O, I / 64]).

    The number with the largest magnitude in a group is represented exactly: the scale makes it -1/2, the end
    of the range that four bits include. A group of zeros gets the scale 1.

    >>> packed_OP, scale_OG = pack(torch.ones(1, 128))
    >>> packed_OP.shape, scale_OG.tolist()
    (torch.Size([1, 64]), [[-2.0, -2.0]])
    >>> unpack(packed_OP, scale_OG, torch.float32).unique().tolist()
    [1.0]
    """
    groups_OGg = weight_OI.float().contiguous().view(len(weight_OI), -1, GROUP_SIZE)
    farthest_OG1 = groups_OGg.gather(2, groups_OGg.abs().argmax(dim=2, keepdim=True))
    scale_OG1 = torch.where(farthest_OG1 != 0, -2 * farthest_OG1, 1.0)
    numbers_OGg = (groups_OGg / scale_OG1 * 16 + 8).round_().clamp_(0, 15)
    numbers = numbers_OGg.to(torch.int32).view(len(weight_OI), -1, 8, PACKED_LANES)
    words = torch.zeros_like(numbers[:, :, 0])
    for nibble in range(8):
        words |= numbers[:, :, nibble] << 4 * nibble
    return words.flatten(1).view(DTYPE), scale_OG1.squeeze(2)


def unpack(packed_OP: Tensor, scale_OG: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the matrix [O, I] that was packed, as far as four bits represent it."""
    words = packed_OP.view(torch.int32).view(len(packed_OP), -1, 1, PACKED_LANES)
    shifts = torch.arange(0, 32, 4, dtype=torch.int32, device=words.device)[:, None]
    numbers_OGg = (words >> shifts).bitwise_and_(15).sub_(8).to(dtype).view(*scale_OG.shape, GROUP_SIZE)
    return numbers_OGg.mul_((scale_OG / 16)[:, :, None]).flatten(1)
