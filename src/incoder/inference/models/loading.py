"""From a name to a loaded model: finds its folder, chooses device and precision, reads the weights."""

import os
from pathlib import Path

import torch

from incoder import arguments
from incoder.errors import IncoderError
from incoder.inference.engine.cached_sequences import TransformerModel
from incoder.inference.engine.forking import check_process
from incoder.inference.infill_model import InfillModel
from incoder.inference.models.catalogue import embedded_models, find_model
from incoder.model.checkpoint import load_checkpoint, load_num_tail_lines
from incoder.model.device import choose_device, is_fast_in
from incoder.model.quantization import quantize, set_compute_dtype
from incoder.tokenizer.formats import choose_format, read_tokenizer

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_NUM_BITS: dict[str | torch.dtype | None, int] = {"int8": 8, torch.int8: 8, "int4": 4}  # of matrices
_NAMES = (*_DTYPES, "int8", "int4")


def load(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    infilling_format: str | None = None,
) -> InfillModel:
    """Load a model; `incoder.load` explains the arguments.

    Raises:
        IncoderError: no such model, device, dtype or format, the tokenizer and the weights do not belong
            together, or the process was forked from one that had loaded a model.
    """
    check_process()
    optional_text = arguments.optional(arguments.text)
    optional_text("revision", revision)
    optional_text("infilling_format", infilling_format)
    if not isinstance(device, str | torch.device | None):
        raise IncoderError(f"device must be a name such as cpu or cuda:1, got {device!r}")
    if not isinstance(dtype, str | torch.dtype | None):
        raise IncoderError(f"dtype must be one of {', '.join(_NAMES)}, got {dtype!r}")
    folder = find_model(name, revision)
    chosen_device = choose_device(device)
    tokenizer = read_tokenizer(folder)
    layout = choose_format(tokenizer, infilling_format)
    num_bits = _NUM_BITS.get(dtype)
    chosen_dtype = _dtype(None if num_bits else dtype, chosen_device)
    if num_bits:
        transformer = load_checkpoint(folder, device=chosen_device)  # in the precision that it is stored in
        quantize(transformer, chosen_dtype, num_bits=num_bits)
    else:
        transformer = load_checkpoint(folder, dtype=chosen_dtype, device=chosen_device)
        if not is_fast_in(chosen_dtype, chosen_device):
            set_compute_dtype(transformer)
    if tokenizer.vocab_size > transformer.config.vocab_size:
        raise IncoderError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, the model only "
            f"{transformer.config.vocab_size}; they do not belong together"
        )
    is_folder = str(name) not in embedded_models() and Path(name).is_dir()
    source = {
        "name": str(Path(name).absolute()) if is_folder else str(name),  # for any working directory
        "revision": revision,
        "device": device,
        "dtype": dtype,
        "infilling_format": infilling_format,
    }
    language_model = TransformerModel(transformer)
    return InfillModel(language_model, tokenizer, layout, load_num_tail_lines(folder), source)


def _dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    if dtype is None:
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    chosen = _DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if chosen is None or not chosen.is_floating_point:
        raise IncoderError(f"dtype must be one of {', '.join(_NAMES)}, got {str(dtype)!r}")
    return chosen
