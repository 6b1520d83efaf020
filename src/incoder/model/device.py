"""The device that a model runs on, and the precisions in which the device is fast."""

import torch

from incoder.errors import IncoderError

# A processor multiplies in half precision if it has one of these (`torch.cpu.get_capabilities`).
_INSTRUCTIONS = {
    torch.bfloat16: ("avx512_bf16", "amx_bf16"),
    torch.float16: ("avx512_fp16", "amx_fp16"),
}


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """Return the device of this name; by default CUDA if PyTorch can use it, else the CPU.

    Raises:
        IncoderError: this machine has no such device.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise IncoderError(
            f"there is no device {str(device)!r}; give cpu, cuda or cuda:1 and so on"
        ) from error
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise IncoderError(f"models run on cpu, cuda and mps, not on {chosen.type}")
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise IncoderError("there is no CUDA GPU that PyTorch can use here; use the device cpu")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise IncoderError(f"there is no {chosen}; PyTorch sees {torch.cuda.device_count()} CUDA GPUs here")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise IncoderError("PyTorch cannot use Metal (mps) here; use the device cpu")
    return chosen


def is_fast_in(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the device multiplies in this dtype; a processor that cannot is a hundred times slower."""
    if dtype not in _INSTRUCTIONS or device.type == "mps":
        return True
    if device.type == "cuda":
        return dtype == torch.float16 or torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in _INSTRUCTIONS[dtype])
