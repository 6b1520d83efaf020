"""Files as llama.cpp's writer makes them, and files that were damaged or made to do harm."""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from incoder.errors import IncoderError
from incoder.model.gguf_file import TENSOR_TYPES, GGUFFile, is_gguf

gguf = pytest.importorskip("gguf")
WriteGGUF = Callable[[Path, dict[str, Any], dict[str, tuple[Any, str]]], None]


@pytest.fixture
def file(tmp_path: Path, write_gguf: WriteGGUF) -> Path:
    """A small file with something of every kind."""
    path = tmp_path / "small.gguf"
    metadata = {"general.name": "größe", "a.count": 7, "a.rate": 0.5, "a.flag": True, "a.words": ["x", "ÿ"]}
    weight = np.linspace(-1, 1, 4 * 32, dtype=np.float32).reshape(4, 32)
    write_gguf(path, metadata, {"w": (weight, "F32"), "norm": (weight[0], "F32")})
    return path


def test_metadata_and_tensors_are_read(file: Path) -> None:
    opened = GGUFFile(file)
    expected = {"general.name": "größe", "a.count": 7, "a.rate": 0.5, "a.flag": True, "a.words": ["x", "ÿ"]}
    assert expected.items() <= opened.metadata.items()
    assert {name: one.shape for name, one in opened.tensors.items()} == {"w": (4, 32), "norm": (32,)}
    weight = np.linspace(-1, 1, 4 * 32, dtype=np.float32).reshape(4, 32)
    assert (opened.rows("w", slice(1, 3)) == weight[1:3]).all()
    assert (opened.rows("w", np.array([3, 0])) == weight[[3, 0]]).all()
    opened.give_back("w")
    assert (opened.rows("w", slice(None)) == weight).all()


def half(value: float) -> bytes:
    return np.float16(value).tobytes()


BLOCKS = {  # a block of each type, made by hand from the format's description, and the numbers in it
    "F32": (np.float32(-2.5).tobytes() * 32, [-2.5] * 32),
    "F16": (half(-2.5) * 32, [-2.5] * 32),
    "BF16": (b"\x20\xc0" * 32, [-2.5] * 32),  # the upper half of float32's bytes
    "Q8_0": (half(0.5) + bytes([1, 255]) * 16, [0.5, -0.5] * 16),
    # A byte holds number i in its lower half and number i + 16 in its upper one.
    "Q4_0": (half(2.0) + bytes([0x9F] * 16), [14.0] * 16 + [2.0] * 16),
    "Q4_1": (half(2.0) + half(1.0) + bytes([0x9F] * 16), [31.0] * 16 + [19.0] * 16),
    # The same with a fifth bit of each number before the four, here 1 and 0.
    "Q5_0": (half(2.0) + b"\xff" * 4 + bytes([0x9F] * 16), [30.0] * 16 + [18.0] * 16),
    "Q5_1": (half(2.0) + half(1.0) + bytes(4) + bytes([0x9F] * 16), [31.0] * 16 + [19.0] * 16),
    # Eight groups of 32 with a scale and a minimum of six bits each: here 1 and 2 in the first four, else 0.
    "Q4_K": (
        half(1.0) + half(0.5) + bytes([1] * 4 + [2] * 4 + [0] * 4) + bytes([0x53] * 128),
        ([2.0] * 32 + [4.0] * 32) * 2 + [0.0] * 128,
    ),
    "Q5_K": (  # as before, with a fifth bit of every number before the four
        half(1.0) + half(0.5) + bytes([1] * 4 + [2] * 4 + [0] * 4) + bytes([0xFF] * 32) + bytes([0x53] * 128),
        ([18.0] * 32 + [20.0] * 32) * 2 + [0.0] * 128,
    ),
    # Four lower bits, two upper ones, sixteen scales, and a scale of the scales; 32 means zero.
    "Q6_K": (
        bytes([0x21] * 128) + bytes([0xAA] * 64) + bytes([3] * 8 + [255] * 8) + half(2.0),
        [6.0] * 64 + [12.0] * 64 + [-2.0] * 64 + [-4.0] * 64,
    ),
}


def test_a_block_of_every_type_is_known() -> None:
    assert BLOCKS.keys() == set(TENSOR_TYPES)


@pytest.mark.parametrize("type_name", TENSOR_TYPES)
def test_each_type_is_read_as_its_description_says(
    type_name: str, tmp_path: Path, write_gguf: WriteGGUF
) -> None:
    block, expected = BLOCKS[type_name]
    stored = np.frombuffer(block * 3, np.uint8).reshape(3, -1)
    write_gguf(tmp_path / "x.gguf", {}, {"w": (stored, type_name)})
    opened = GGUFFile(tmp_path / "x.gguf")
    assert opened.tensors["w"].shape == (3, len(expected))
    assert opened.rows("w", slice(1, 3)).tolist() == [expected] * 2


@pytest.mark.parametrize("type_name", ["Q2_K", "Q3_K", "IQ4_XS", "MXFP4"])
def test_other_types_are_refused_by_name(type_name: str, tmp_path: Path, write_gguf: WriteGGUF) -> None:
    num_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[type_name]][1]
    write_gguf(tmp_path / "x.gguf", {}, {"blk.0.w": (np.zeros((1, num_bytes), np.uint8), type_name)})
    with pytest.raises(
        IncoderError, match=rf"x\.gguf: blk\.0\.w is quantized as {type_name}; F32, .* Q4_0 are supported"
    ):
        GGUFFile(tmp_path / "x.gguf")


def test_a_file_that_is_cut_off_anywhere_is_refused(file: Path) -> None:
    content = file.read_bytes()
    for length in range(0, len(content) - 128, 7):  # the last tensor has 128 bytes
        file.write_bytes(content[:length])
        with pytest.raises(IncoderError, match=r"small\.gguf(:| is empty)"):
            GGUFFile(file)


def test_a_file_whose_bytes_were_changed_is_read_or_refused_with_a_message(file: Path) -> None:
    """One byte of the header after another is set to the largest value; no count leads out of the file."""
    content = file.read_bytes()
    num_refused = 0
    for index in range(len(content) - 2 * 128 - 4 * 128):
        file.write_bytes(content[:index] + b"\xff" + content[index + 1 :])
        try:
            GGUFFile(file)
        except IncoderError:
            num_refused += 1
    assert num_refused > 100


HEADER = b"GGUF" + struct.pack("<I", 3)


def entry(key: bytes, type_id: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(key)) + key + struct.pack("<I", type_id) + value


def tensor(name: bytes, first_byte: int) -> bytes:
    """The description of a vector of one number in float32."""
    return struct.pack("<Q", len(name)) + name + struct.pack("<IQIQ", 1, 1, 0, first_byte)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG and so on", "is not a GGUF file: it begins with b'\\\\x89PNG', not with b'GGUF'"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a pointer of Git LFS: fetch it with `git lfs pull`",
        ),
        (
            b"GGUF" + struct.pack(">I", 3) + bytes(99),
            "in big-endian byte order, and only little-endian files",
        ),
        (b"GGUF" + struct.pack("<I", 1) + bytes(99), "version 1 of GGUF; versions 2 and 3 are supported"),
        (HEADER + struct.pack("<QQ", 2**63, 0), r"claims to have 9,223,372,036,854,775,808 tensors"),
        (HEADER + struct.pack("<QQ", 0, 2**40), "claims to have 1,099,511,627,776 entries of metadata"),
        (HEADER + struct.pack("<QQQ", 0, 1, 2**62), "is cut off or damaged: a key at byte 32"),
        (
            HEADER + struct.pack("<QQ", 0, 1) + entry(b"k", 9, struct.pack("<IQ", 4, 2**50)),
            "k claims to have 1,125,899,906,842,624 elements; at most 8,000,000 are supported in all",
        ),
        (
            HEADER + struct.pack("<QQ", 0, 1) + entry(b"k", 9, struct.pack("<IQ", 4, 3_000_000)),
            "k at byte .* would take 12,000,000 bytes, and 0 are left; fetch the file again",
        ),
        pytest.param(
            HEADER
            + struct.pack("<QQ", 0, 2)
            + entry(b"j", 9, struct.pack("<IQ", 0, 5_000_000) + bytes(5_000_000))
            + entry(b"k", 9, struct.pack("<IQ", 0, 5_000_000) + bytes(5_000_000)),
            "k claims to have 5,000,000 elements; at most 8,000,000 are supported in all arrays",
            id="too many elements in all",
        ),
        (
            HEADER + struct.pack("<QQ", 0, 1) + entry(b"k", 9, struct.pack("<IQ", 9, 1)),
            "k is of type 9, which GGUF's versions 2 and 3 do not have",
        ),
        (HEADER + struct.pack("<QQ", 0, 1) + entry(b"k", 77, b""), "k is of type 77"),
        (
            HEADER + struct.pack("<QQ", 0, 1) + entry(b"\xff", 4, bytes(4)),
            "a key before byte .* is not UTF-8",
        ),
        (
            HEADER + struct.pack("<QQ", 0, 1) + entry(b"split.count", 2, struct.pack("<H", 3)),
            "one of 3 files of a model; join them with `llama-gguf-split --merge`",
        ),
        (
            HEADER + struct.pack("<QQ", 0, 1) + entry(b"general.alignment", 4, struct.pack("<I", 3)),
            "general.alignment must be a power of two, got 3",
        ),
        (
            HEADER + struct.pack("<QQ", 1, 0) + struct.pack("<QsI", 1, b"w", 10**6),
            "w must have 1 to 4 dimensions, got 1,000,000",
        ),
        (
            HEADER + struct.pack("<QQ", 1, 0) + struct.pack("<QsIQQIQ", 1, b"w", 2, 2**60, 2**60, 0, 0),
            "is cut off: w ends at byte .*, and the file has",
        ),
        (
            HEADER + struct.pack("<QQ", 1, 0) + struct.pack("<QsIQIQ", 1, b"w", 1, 33, 8, 0),
            r"w has the shape \(33,\); rows in Q8_0 have a multiple of 32 numbers",
        ),
        (
            HEADER + struct.pack("<QQ", 1, 0) + struct.pack("<QsIQIQ", 1, b"w", 1, 0, 0, 0),
            r"w has the shape \(0,\)",
        ),
        (
            HEADER + struct.pack("<QQ", 0, 2) + 2 * entry(b"k", 4, bytes(4)),
            "has the key k twice; fetch the file again",
        ),
        (
            HEADER + struct.pack("<QQ", 2, 0) + 2 * tensor(b"w", 0) + bytes(100),
            "has the tensor w twice; fetch the file again",
        ),
        (  # or a file of some megabytes describes a network of a terabyte
            HEADER + struct.pack("<QQ", 2, 0) + tensor(b"v", 0) + tensor(b"w", 2) + bytes(100),
            "w overlaps another tensor in the file; fetch the file again",
        ),
        pytest.param(
            HEADER + struct.pack("<QQ", 0, 1) + entry(b"k\x1b[2J" + b"x" * 10**6, 77, b""),
            r"'k\\x1b\[2Jx+\.\.\.x+' is of type 77",
            id="a long key with a control sequence",
        ),
    ],
)
def test_a_hostile_file_is_refused_by_what_is_wrong_with_it(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(IncoderError, match=rf"x\.gguf: .*{message}"):
        GGUFFile(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    (tmp_path / "folder.gguf").mkdir()
    for name, message in (("pipe", "is a FIFO"), ("folder", "is a folder"), ("missing", "No such file")):
        with pytest.raises(IncoderError, match=message):
            GGUFFile(tmp_path / f"{name}.gguf")


def test_the_name_or_the_first_bytes_tell_a_gguf_file(file: Path, tmp_path: Path) -> None:
    assert is_gguf(Path("models/X.Q4_K_M.GGUF"))
    assert not is_gguf(Path("owner/model-GGUF"))
    assert is_gguf(file.rename(tmp_path / "sha256-0123"))  # as Ollama calls them
    (tmp_path / "model.safetensors").write_bytes(b"GG")
    assert not is_gguf(tmp_path / "model.safetensors")
    os.mkfifo(tmp_path / "pipe")
    assert not is_gguf(tmp_path / "pipe")
    assert not is_gguf(Path("x" * 5000))
