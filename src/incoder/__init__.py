"""InCoder: write code left to right, and fill any number of holes in it with both sides in view."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    import torch

    from incoder.inference.infill_model import InfillModel

__version__ = "0.1.0"


def load(
    name: "str | os.PathLike[str]" = "mini",
    *,
    device: "str | torch.device | None" = None,
    dtype: "str | torch.dtype | None" = None,
) -> "InfillModel":
    """Load a model: an embedded one by its name (`mini`), or a checkpoint folder in Hugging Face's layout.

    By default on CUDA where there is a GPU, in bfloat16; on a CPU in float32.

    Raises:
        IncoderError: no such model, or its folder cannot be read.
    """
    from incoder.inference.loading import load as load_model  # torch is imported here, not with the package

    return load_model(name, device=device, dtype=dtype)
