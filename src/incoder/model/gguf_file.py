"""GGUF, the file format of llama.cpp's models: metadata by key, tensors by name.

A path in; metadata and tensors out. Every count is checked against the length of the file before anything is
read or allocated by it, so a damaged or hostile file ends in an error that says what is wrong. Knows no
networks and no vocabularies, and imports no torch. The package `gguf` dequantizes the weights; its reader is
not used, since it checks no counts and takes many times as long (docs/models.md).
"""

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from incoder.errors import IncoderError, shown, shown_name
from incoder.extras import missing_extra
from incoder.files import kind_of

SUFFIX = ".gguf"
# The supported types. Files named Q4_K_M and Q5_K_M use Q5_0 and Q5_1 if rows are not multiples of 256.
TENSOR_TYPES = ("F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K", "Q5_1", "Q5_0", "Q4_K", "Q4_1", "Q4_0")
ROPE_FACTORS = "rope_freqs.weight"  # a tensor that is no weight: the divisors of Llama 3's frequencies

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_ENTRIES = 100_000  # of metadata, and of tensors; published files have dozens, and hundreds
_MAX_ELEMENTS = 8_000_000  # of all arrays; published vocabularies have up to 300,000 tokens, and more merges
_MAX_DIMENSIONS = 4
_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS = {  # type in the file: its format in struct and numpy
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", _BOOL: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GGUFTensor:
    """A tensor's place in the file: its type (one of TENSOR_TYPES), its shape, rows first, and its bytes."""

    type_name: str
    shape: tuple[int, ...]
    first_byte: int
    num_bytes: int


class GGUFFile:
    """An open file: `metadata` by key, `tensors` by name. It is mapped into memory; a page is read when used.

    Raises:
        IncoderError: the file cannot be read, is not a GGUF file of a known version and byte order, is cut
            off, or has tensors of an unsupported type; or the extra `gguf` is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._quantization = _quantization_library()
        self._types = {kind.value: kind for kind in self._quantization.GGMLQuantizationType}
        self._content = _mapped(path)
        try:
            self.metadata, self.tensors = self._parsed()
        except IncoderError as error:
            raise IncoderError(f"{path}: {error}") from error

    def rows(self, name: str, rows: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """Return rows of a tensor, dequantized to float32; the other rows are not read."""
        tensor = self.tensors[name]
        num_rows = math.prod(tensor.shape[:-1])
        stored = np.frombuffer(self._content, np.uint8, tensor.num_bytes, tensor.first_byte)
        chosen = stored.reshape(num_rows, -1)[rows]
        kind = self._quantization.GGMLQuantizationType[tensor.type_name]
        with np.errstate(all="ignore"):  # a damaged scale may be NaN or infinite, and so are its weights
            if tensor.type_name == "F32":
                return chosen.view("<f4").astype(np.float32)
            if tensor.type_name == "F16":
                chosen = chosen.view("<f2")
            out: NDArray[np.float32] = self._quantization.dequantize(chosen, kind)
            return out

    def give_back(self, name: str) -> None:
        """Release the pages of a tensor; they are read from the disk if they are used again."""
        tensor = self.tensors[name]
        first = -(-tensor.first_byte // mmap.PAGESIZE) * mmap.PAGESIZE
        num_bytes = (tensor.first_byte + tensor.num_bytes - first) // mmap.PAGESIZE * mmap.PAGESIZE
        if num_bytes > 0 and hasattr(mmap, "MADV_DONTNEED"):
            self._content.madvise(mmap.MADV_DONTNEED, first, num_bytes)

    def _parsed(self) -> tuple[Mapping[str, Any], Mapping[str, GGUFTensor]]:
        cursor = _Cursor(self._content)
        _check_version(cursor)
        num_tensors, num_entries = cursor.number("<Q"), cursor.number("<Q")
        for count, what in ((num_tensors, "tensors"), (num_entries, "entries of metadata")):
            if count > _MAX_ENTRIES:
                raise IncoderError(
                    f"it claims to have {count:,} {what}; at most {_MAX_ENTRIES:,} are supported"
                )
        metadata: dict[str, Any] = {}
        for _ in range(num_entries):
            key = cursor.string("a key")
            if key in metadata:
                raise IncoderError(f"it has the key {shown_name(key)} twice; fetch the file again")
            metadata[key] = cursor.value(key)
        if metadata.get("split.count", 1) != 1:
            raise IncoderError(
                f"it is one of {shown(metadata['split.count'])} files of a model; join them with "
                "`llama-gguf-split --merge`, then name the joined file"
            )
        tensors: dict[str, GGUFTensor] = {}
        for _ in range(num_tensors):
            name, tensor = self._next_tensor(cursor)
            if name in tensors:
                raise IncoderError(f"it has the tensor {shown_name(name)} twice; fetch the file again")
            tensors[name] = tensor
        alignment = metadata.get("general.alignment", 32)
        if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
            raise IncoderError(f"general.alignment must be a power of two, got {shown(alignment)}")
        return metadata, self._placed(tensors, -(-cursor.position // alignment) * alignment)

    def _next_tensor(self, cursor: "_Cursor") -> tuple[str, GGUFTensor]:
        """Read the name and the description of the next tensor; its first byte counts from the data's."""
        name = cursor.string("a tensor's name")
        num_dimensions = cursor.number("<I")
        if not 1 <= num_dimensions <= _MAX_DIMENSIONS:
            raise IncoderError(
                f"{shown_name(name)} must have 1 to {_MAX_DIMENSIONS} dimensions, got {num_dimensions:,}; "
                "fetch the file again"
            )
        # In the file the length of a row comes first.
        shape = tuple(cursor.number("<Q") for _ in range(num_dimensions))[::-1]
        type_id, first_byte = cursor.number("<I"), cursor.number("<Q")
        kind = self._types.get(type_id)
        type_name = f"type {type_id}" if kind is None else kind.name
        if type_name not in TENSOR_TYPES:
            raise IncoderError(
                f"{shown_name(name)} is quantized as {type_name}; {', '.join(TENSOR_TYPES)} are supported. "
                "Take another file of the same model, Q4_K_M or Q8_0 for example"
            )
        block_size, block_bytes = self._quantization.GGML_QUANT_SIZES[kind]
        if shape[-1] % block_size or not all(shape):
            raise IncoderError(
                f"{shown_name(name)} has the shape {shape}; rows in {type_name} have a multiple of "
                f"{block_size} numbers"
            )
        return name, GGUFTensor(
            type_name, shape, first_byte, num_bytes=math.prod(shape) // block_size * block_bytes
        )

    def _placed(self, tensors: Mapping[str, GGUFTensor], start: int) -> dict[str, GGUFTensor]:
        """Return the tensors with first bytes that count from the file's, not from `start`.

        No two may overlap: a small file could otherwise describe a network of any size.
        """
        end = start
        for name, tensor in sorted(tensors.items(), key=lambda item: item[1].first_byte):
            if start + tensor.first_byte < end:
                raise IncoderError(
                    f"{shown_name(name)} overlaps another tensor in the file; fetch the file again"
                )
            end = start + tensor.first_byte + tensor.num_bytes
            if end > len(self._content):
                raise IncoderError(
                    f"it is cut off: {shown_name(name)} ends at byte {end:,}, and the file has "
                    f"{len(self._content):,}; fetch it again"
                )
        return {
            name: replace(tensor, first_byte=start + tensor.first_byte) for name, tensor in tensors.items()
        }


class _Cursor:
    """Reads the mapped file from its beginning, never past its end."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self.position = 0
        self._num_elements = 0

    def take(self, num_bytes: int, what: str) -> bytes:
        start, end = self.position, self.position + num_bytes
        if end > len(self._content):
            raise IncoderError(
                f"it is cut off or damaged: {shown_name(what)} at byte {start:,} would take {num_bytes:,} "
                f"bytes, and {len(self._content) - start:,} are left; fetch the file again"
            )
        self.position = end
        return self._content[start:end]

    def number(self, form: str) -> int:
        """Return the next whole number."""
        (number,) = struct.unpack(form, self.take(struct.calcsize(form), "a number"))
        return int(number)

    def string(self, what: str) -> str:
        data = self.take(self.number("<Q"), what)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise IncoderError(
                f"{shown_name(what)} before byte {self.position:,} is not UTF-8; fetch the file again"
            ) from error

    def value(self, key: str) -> Any:
        type_id = self.number("<I")
        if type_id == _STRING:
            return self.string(key)
        if type_id == _ARRAY:
            return self._array(key)
        form = self._form(type_id, key)
        return struct.unpack(form, self.take(struct.calcsize(form), key))[0]

    def _array(self, key: str) -> list[Any]:
        type_id, length = self.number("<I"), self.number("<Q")
        self._num_elements += length
        if self._num_elements > _MAX_ELEMENTS:  # in memory an element takes many times its bytes in the file
            raise IncoderError(
                f"{shown_name(key)} claims to have {length:,} elements; at most {_MAX_ELEMENTS:,} are "
                "supported in all arrays"
            )
        if type_id == _STRING:
            return [self.string(key) for _ in range(length)]
        form = self._form(type_id, key)
        data = self.take(length * struct.calcsize(form), key)
        values: list[Any] = np.frombuffer(data, form).tolist()
        return values

    def _form(self, type_id: int, key: str) -> str:
        if type_id not in _SCALARS:
            raise IncoderError(
                f"{shown_name(key)} is of type {type_id}, which GGUF's versions 2 and 3 do not have"
            )
        return _SCALARS[type_id]


class _Quantization(Protocol):
    """The part of the package `gguf` that is used here."""

    GGMLQuantizationType: Any
    GGML_QUANT_SIZES: Any

    def dequantize(self, data: Any, qtype: Any) -> Any: ...


def is_gguf(path: Path) -> bool:
    """Whether the name ends in `.gguf` and is not a folder's, or the file begins as GGUF files do.

    Ollama's files have no suffix. Only a regular file is opened.
    """
    try:
        if path.suffix.lower() == SUFFIX:
            return not path.is_dir()
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:  # the next function that reads it reports the error
        return False


def _quantization_library() -> _Quantization:
    try:
        import gguf
    except ImportError as error:
        raise missing_extra("reading GGUF files needs the package gguf", "gguf") from error
    library: _Quantization = gguf
    return library


def _mapped(path: Path) -> mmap.mmap:
    try:
        status = path.stat()
        if not path.is_file():  # opening a FIFO would block
            raise IncoderError(f"{path} is a {kind_of(status)}; a model is a regular file or a folder")
        if not status.st_size:
            raise IncoderError(f"{path} is empty; fetch it again")
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise IncoderError(f"cannot read {path}: {error.strerror}") from error


def _check_version(cursor: _Cursor) -> None:
    magic = cursor.take(4, "the magic number")
    if magic != _MAGIC:
        hint = "; it is a pointer of Git LFS: fetch it with `git lfs pull`" if magic == b"vers" else ""
        raise IncoderError(f"it is not a GGUF file: it begins with {magic!r}, not with {_MAGIC!r}{hint}")
    version = cursor.number("<I")
    if version & 0xFFFF == 0:
        raise IncoderError(
            "it is in big-endian byte order, and only little-endian files are supported; convert it again"
        )
    if version not in _VERSIONS:
        raise IncoderError(
            f"it has version {version} of GGUF; versions 2 and 3 are supported; convert the model again"
        )
