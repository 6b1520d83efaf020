"""The tokenizer, the infilling format and the facts that a GGUF file holds beside its weights.

Errors name the file. Imports no torch.
"""

import math
from pathlib import Path

from incoder.errors import IncoderError, shown_name
from incoder.model.gguf_file import ROPE_FACTORS, GGUFFile
from incoder.tokenizer.family_tokenizer import FamilyTokenizer
from incoder.tokenizer.formats import InfillingFormat
from incoder.tokenizer.gguf_vocabulary import choose_gguf_format, read_vocabulary


def gguf_file_at(path: Path) -> Path:
    """Return the path if the file exists; such a name is never looked up on the hub.

    Raises:
        IncoderError: the file does not exist, or its folder cannot be read.
    """
    try:
        if not path.exists():
            raise IncoderError(f"there is no file {path}; give the path of a GGUF file on this machine")
    except OSError as error:
        raise IncoderError(f"cannot read {path}: {error.strerror}") from error
    return path


def tokenizer_and_format(file: GGUFFile, name: str | None = None) -> tuple[FamilyTokenizer, InfillingFormat]:
    """Return the file's tokenizer, and the infilling format of this name, by default the vocabulary's.

    Raises:
        IncoderError: the vocabulary is of an unknown kind or damaged, or lacks the format's tokens.
    """
    try:
        tokenizer = read_vocabulary(file.metadata)
        return tokenizer, choose_gguf_format(file.metadata, tokenizer, name)
    except IncoderError as error:
        raise IncoderError(f"{file.path}: {error}") from error


def facts(file: GGUFFile) -> tuple[str, int, int, str | None]:
    """Return the architecture, the number of parameters, the context length and the licence.

    Raises:
        IncoderError: the file has no context length.
    """
    architecture = shown_name(str(file.metadata.get("general.architecture")))
    lengths = [
        file.metadata.get(f"{architecture}.{key}") for key in ("context_length", "attention.sliding_window")
    ]
    if type(lengths[0]) is not int:
        raise IncoderError(f"{file.path} has no {architecture}.context_length; fetch it again")
    context = min([length for length in lengths if type(length) is int and length], default=0)
    num_parameters = sum(math.prod(one.shape) for name, one in file.tensors.items() if name != ROPE_FACTORS)
    licence = file.metadata.get("general.license")
    return architecture, num_parameters, context, shown_name(licence) if isinstance(licence, str) else None
