"""On which device a model runs."""

import torch

from incoder.errors import IncoderError


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """The device of that name; by default CUDA where PyTorch can use it, else the CPU.

    Raises:
        IncoderError: there is no such device here.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise IncoderError(
            f"there is no device {str(device)!r}; give cpu, cuda or cuda:1 and so on"
        ) from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise IncoderError("there is no CUDA GPU that PyTorch can use here; use the device cpu")
    return chosen
