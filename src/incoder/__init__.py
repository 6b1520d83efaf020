"""InCoder: write code left to right, and fill any number of holes in it with both sides in view."""

TYPE_CHECKING = False  # type checkers read it as typing's, whose import would delay the start of the command
if TYPE_CHECKING:
    import os

    import torch

    from incoder.inference.infill_model import InfillModel

__version__ = "0.1.0"


def load(
    name: "str | os.PathLike[str]" = "mini",
    *,
    revision: str | None = None,
    device: "str | torch.device | None" = None,
    dtype: "str | torch.dtype | None" = None,
    infilling_format: str | None = None,
) -> "InfillModel":
    """Load a model: an embedded one (`mini`), a folder in Hugging Face's layout, or one on the hub.

    One on the hub (`facebook/incoder-1B`, in a `revision` if you like) is fetched the first time, then read
    from the cache. By default on CUDA where there is a GPU, in bfloat16; on a CPU in float32. Other names for
    a `dtype` are float16, int8 and int4. How the model is shown holes is told by its vocabulary, unless
    `infilling_format` names another format.

    Raises:
        IncoderError: no such model, or it cannot be fetched or read.
    """
    from incoder.inference.models.loading import (
        load as load_model,  # torch is imported here, not with the package
    )

    return load_model(name, revision=revision, device=device, dtype=dtype, infilling_format=infilling_format)
