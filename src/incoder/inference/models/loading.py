"""From a name to a loaded model: finds folder or file, chooses device and precision, reads the weights."""

import os
from pathlib import Path

import torch

from incoder import arguments
from incoder.embedded_models import embedded_models
from incoder.errors import IncoderError
from incoder.inference.cache.kv_cache import bytes_per_token
from incoder.inference.engine.cached_sequences import TransformerModel
from incoder.inference.engine.forking import check_process
from incoder.inference.engine.runner import BLOCK_SIZE
from incoder.inference.infill_model import InfillModel
from incoder.inference.memory.mixing import read_weights
from incoder.inference.models.catalogue import find_model
from incoder.inference.models.gguf_model import tokenizer_and_format
from incoder.infill_defaults import num_candidates_for
from incoder.model.adapters import load_adapter, merge
from incoder.model.checkpoint import load_checkpoint
from incoder.model.device import choose_device, is_fast_in
from incoder.model.generation_config import load_num_tail_lines
from incoder.model.gguf_checkpoint import gguf_config, load_gguf
from incoder.model.gguf_file import GGUFFile
from incoder.model.quantization import quantize, set_compute_dtype
from incoder.model.transformer import Transformer
from incoder.tokenizer.formats import choose_format, read_tokenizer
from incoder.tokenizer.text_tokenizer import TextTokenizer

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
    adapter: str | os.PathLike[str] | None = None,
    cache_bytes: int | None = None,
    max_context: int | None = None,
) -> InfillModel:
    """Load a model; `incoder.load` explains the first arguments.

    `cache_bytes` is the memory of the key/value cache, `max_context` the longest context in tokens, if it is
    to be shorter than the network's.

    Raises:
        IncoderError: no such model, device, dtype, format or adapter, a cache that holds less than one
            context, a tokenizer and weights that do not belong together, an adapter that was made for another
            model, or a process that was forked from one that had loaded a model.
    """
    check_process()
    optional_text = arguments.optional(arguments.text)
    optional_text("revision", revision)
    optional_text("infilling_format", infilling_format)
    if not isinstance(device, str | torch.device | None):
        raise IncoderError(f"device must be a name such as cpu or cuda:1, got {device!r}")
    if not isinstance(dtype, str | torch.dtype | None):
        raise IncoderError(f"dtype must be one of {', '.join(_NAMES)}, got {dtype!r}")
    if not isinstance(adapter, str | os.PathLike | None):
        raise IncoderError(f"an adapter is given by its folder, got {adapter!r}")
    adapter = None if adapter is None else Path(adapter).absolute()
    path = find_model(name, revision)
    chosen_device = choose_device(device)
    num_bits = _NUM_BITS.get(dtype)
    chosen_dtype = _dtype(None if num_bits else dtype, chosen_device)
    tokenizer: TextTokenizer
    if path.is_dir():
        tokenizer = read_tokenizer(path)
        layout = choose_format(tokenizer, infilling_format)
        transformer = _from_folder(path, adapter, chosen_dtype, chosen_device, num_bits)
    else:
        file = GGUFFile(path)
        gguf_config(file)  # refuses a network that is not implemented before its vocabulary is read
        tokenizer, layout = tokenizer_and_format(file, infilling_format)
        if adapter is not None and num_bits:
            raise IncoderError(
                f"an adapter cannot be added to {path} in {dtype}, because its weights are quantized one at "
                "a time while they are read; load it in bfloat16"
            )
        transformer = load_gguf(file, dtype=chosen_dtype, device=chosen_device, num_bits=num_bits)
        if adapter is not None:
            merge(transformer, load_adapter(adapter, transformer.config))
    if not num_bits and not is_fast_in(chosen_dtype, chosen_device):
        set_compute_dtype(transformer)
    if tokenizer.vocab_size > transformer.config.vocab_size:
        raise IncoderError(
            f"{path}: the tokenizer has {tokenizer.vocab_size} tokens, the model only "
            f"{transformer.config.vocab_size}; they do not belong together"
        )
    is_path = str(name) not in embedded_models() and Path(name).exists()
    source = {
        "name": str(Path(name).absolute()) if is_path else str(name),  # for any working directory
        "revision": revision,
        "device": device,
        "dtype": dtype,
        "infilling_format": infilling_format,
        "adapter": adapter,
    }
    num_blocks = None if cache_bytes is None else _num_blocks(transformer, cache_bytes, max_context)
    language_model = TransformerModel(transformer, num_blocks, max_context)
    num_tail_lines = load_num_tail_lines(path) if path.is_dir() else 0
    return InfillModel(
        language_model,
        tokenizer,
        layout,
        num_tail_lines,
        source,
        memory_weights=read_weights(path),
        num_candidates=num_candidates_for(transformer.config.num_parameters),
    )


def _num_blocks(transformer: Transformer, cache_bytes: int, max_context: int | None) -> int:
    """Return the number of blocks that fit into this much memory."""
    config = transformer.config
    block_bytes = BLOCK_SIZE * bytes_per_token(config, transformer.dtype)
    num_needed = -(-min(max_context or config.max_positions, config.max_positions) // BLOCK_SIZE)
    if cache_bytes < num_needed * block_bytes:
        raise IncoderError(
            f"the cache must hold one context, {num_needed * block_bytes / 1e6:.0f} MB, got "
            f"{cache_bytes / 1e6:.0f} MB; give it more, or a shorter context"
        )
    return cache_bytes // block_bytes


def _from_folder(
    folder: Path, adapter: Path | None, dtype: torch.dtype, device: torch.device, num_bits: int | None
) -> Transformer:
    # Weights that are quantized afterwards are read in the precision that they are stored in.
    transformer = load_checkpoint(folder, dtype=None if num_bits else dtype, device=device)
    if adapter is not None:
        merge(transformer, load_adapter(adapter, transformer.config))
    if num_bits:
        quantize(transformer, dtype, num_bits=num_bits)
    return transformer


def _dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    if dtype is None:
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    chosen = _DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if chosen is None or not chosen.is_floating_point:
        raise IncoderError(f"dtype must be one of {', '.join(_NAMES)}, got {str(dtype)!r}")
    return chosen
