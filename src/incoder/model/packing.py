"""Numbers of four bits with a scale for each group: how they lie in memory, as the kernels read them.

A row is in steps of 128 numbers, 64 bytes. These are 16 words of 32 bits, each of eight numbers: the lowest
four bits of the words are the numbers 0 to 15, the next ones 16 to 31, and so on, so that one vector of words
gives eight vectors of numbers that lie side by side. A number n stands for (n - 8) / 16 of its group's scale.
Who changes that changes kernels.py as well, which numba compiles anew only then.
"""

import torch
from torch import Tensor

GROUP_SIZE = 64  # numbers that share a scale
PACKED_LANES = 16  # words side by side
PACKED_STEP = 8 * PACKED_LANES  # numbers
DTYPE = torch.uint8  # of the bytes


def can_pack(weight_OI: Tensor) -> bool:
    """Whether its rows are whole steps."""
    return weight_OI.shape[1] % PACKED_STEP == 0


def pack(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """Bytes [O, I / 2] and the scales of groups (float32 [O, I / 64]), of which those of zeros are 1.

    The number of a group that is farthest from zero is kept exactly: of its two ends, -1/2 is the one that
    the four bits reach.
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
    """The matrix [O, I] that `pack` made them of, rounded."""
    words = packed_OP.view(torch.int32).view(len(packed_OP), -1, 1, PACKED_LANES)
    shifts = torch.arange(0, 32, 4, dtype=torch.int32, device=words.device)[:, None]
    numbers_OGg = (words >> shifts).bitwise_and_(15).sub_(8).to(dtype).view(*scale_OG.shape, GROUP_SIZE)
    return numbers_OGg.mul_((scale_OG / 16)[:, :, None]).flatten(1)
