"""Rotary positions: the table of angles, the two ways in which families stretch it, and the rotation.

Sizes in, cosines and sines out; queries and keys in, rotated ones out. Knows no weights.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from incoder.errors import IncoderError, shown

_MAX_ORIGINAL = 1 << 30  # positions, far more than any model was trained on


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """Divide frequencies by `factor`, so that a model reads more positions than it was first trained on.

    `linear` scaling (DeepSeek-Coder) divides all frequencies. With `original_max_positions` it is Llama 3's
    scaling: a frequency with more than `high_freq_factor` periods in the original positions is unchanged, one
    with fewer than `low_freq_factor` is divided, and between the two it is interpolated.

    Raises:
        IncoderError: a factor that stretches nothing, or a number that is out of range.
    """

    factor: float
    original_max_positions: int | None = None
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0

    def __post_init__(self) -> None:
        if not 1 <= self.factor < math.inf:
            raise IncoderError(f"the factor of rope_scaling must be at least 1, got {self.factor:g}")
        if not 0 <= self.low_freq_factor < self.high_freq_factor < math.inf:
            raise IncoderError(
                "low_freq_factor of rope_scaling must be at least 0 and less than high_freq_factor, got "
                f"{self.low_freq_factor:g} and {self.high_freq_factor:g}"
            )
        original = self.original_max_positions
        if original is not None and (type(original) is not int or not 1 <= original <= _MAX_ORIGINAL):
            raise IncoderError(
                "original_max_position_embeddings of rope_scaling must be a whole number from 1 to "
                f"{_MAX_ORIGINAL:,}, got {shown(original)}"
            )


def rotations(num_positions: int, head_dim: int, theta: float, scaling: RopeScaling | None) -> Tensor:
    """Return the cosines and sines of the rotary embedding, [2, num_positions, head_dim / 2].

    >>> rotations(2048, 64, theta=10_000.0, scaling=None).shape
    torch.Size([2, 2048, 32])
    """
    frequencies = theta ** -(torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    if scaling is not None:
        frequencies = _scaled(frequencies, scaling)
    angles = torch.outer(torch.arange(num_positions), frequencies)
    return torch.stack((angles.cos(), angles.sin()))


def rotate(qk_BTHd: Tensor, rotation: Tensor) -> Tensor:
    """Rotate each pair (i, i + head_dim / 2) by its position's angle, as Llama's weights expect."""
    cosines, sines = rotation
    first, second = qk_BTHd.chunk(2, dim=-1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1)


def _scaled(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    if scaling.original_max_positions is None:
        return frequencies / scaling.factor
    turns = scaling.original_max_positions * frequencies / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return frequencies * (kept + (1 - kept) / scaling.factor)
