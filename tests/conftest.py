"""Fixtures that more than one room uses."""

import json
import re
import signal
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from hypothesis import settings
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from incoder.tokenizer import vocabulary_layout
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.tokenizer.training import train_tokenizer

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]

# How long an example takes says nothing on a busy machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A shell has what it runs in the background ignore Ctrl-C, and the commands under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Twice each, so that every pair is frequent enough to become a token.
TINY_DOCUMENTS = 2 * (
    "<| file ext=.py source=github |>\nimport os\nimport sys\n"
    "\n\ndef main():\n    print(os.getcwd())\n<|/ file |>",
    "class Counter:\n    def __init__(self, start=0):\n        self.count = start\n\n    def add(self, n):\n"
    '        """Add n."""\n        self.count += n\n        return self.count\n',
    "import numpy as np\n\n\ndef mean(xs):\n    return sum(xs) / len(xs)\n"
    "\n\nfor x in range(10):\n    print(x)\n",
    "if x is None:\n\treturn None\nelse:\n\treturn x + 1\n",
    "def first(items):\r\n    for item in items:\r\n        return item\r\n\r\n",
    "def größe(text: str) -> int:\n    # 漢字 and 🙂 are text as well\n    return len(text)\n",
)


@pytest.fixture(scope="session", params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each kind of device that is here in turn."""
    return torch.device(request.param)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of facts and benchmarks beside the repository; without it the test is skipped."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared beside the repository")
    return folder


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Tokenizer:
    """640 ids, learnt from a few lines of Python (the special tokens and the bytes alone are 517)."""
    return train_tokenizer(TINY_DOCUMENTS, vocab_size=640)


@pytest.fixture(scope="session")
def write_gguf() -> Any:
    """Write a GGUF file with llama.cpp's own writer: metadata by key, tensors by name with their types.

    A tensor is an array of float32, or of bytes that are already blocks of its type.
    """
    gguf = pytest.importorskip("gguf")

    def write(path: Path, metadata: dict[str, Any], tensors: dict[str, tuple[Any, str]]) -> None:
        writer = gguf.GGUFWriter(path, metadata.get("general.architecture", "llama"))
        for key, value in metadata.items():
            if key == "general.architecture":
                continue
            if isinstance(value, list):
                writer.add_array(key, value)
            else:
                add = {
                    bool: writer.add_bool,
                    int: writer.add_uint32,
                    float: writer.add_float32,
                    str: writer.add_string,
                }
                add[type(value)](key, value)
        for name, (values, type_name) in tensors.items():
            kind = gguf.GGMLQuantizationType[type_name]
            stored = values if values.dtype == np.uint8 else gguf.quants.quantize(values, kind)
            writer.add_tensor(name, stored, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    return write


@pytest.fixture(scope="session")
def gguf_vocabulary() -> Any:
    """Convert the content of a `tokenizer.json` to metadata, as llama.cpp's converter does."""

    def convert(content: dict[str, Any], pre_tokenizer: str) -> dict[str, Any]:
        added = {token["content"]: token["id"] for token in content["added_tokens"]}
        ids = {**content["model"]["vocab"], **added}
        tokens = sorted(ids, key=ids.__getitem__)
        assert [ids[token] for token in tokens] == list(range(len(ids)))
        merges = content["model"]["merges"]
        metadata: dict[str, Any] = {
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": [3 if token in added else 1 for token in tokens],
        }
        if pre_tokenizer == "spm":  # SentencePiece's scores fall from merge to merge
            scores = {left + right: -float(rank) for rank, (left, right) in enumerate(merges)}
            types = [6 if re.fullmatch("<0x..>", token) else 3 if token in added else 1 for token in tokens]
            return metadata | {
                "tokenizer.ggml.model": "llama",
                "tokenizer.ggml.scores": [scores.get(token, -1e9) for token in tokens],
                "tokenizer.ggml.token_type": types,
                "tokenizer.ggml.bos_token_id": ids["<s>"],
            }
        return metadata | {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": pre_tokenizer,
            "tokenizer.ggml.merges": [" ".join(merge) for merge in merges],
        }

    return convert


@pytest.fixture(scope="session")
def make_gguf(write_gguf: Any, gguf_vocabulary: Any, family_tokenizers: Any) -> Any:
    """Write the GGUF file of a small network with random weights and a family's vocabulary."""

    def make(
        path: Path, family: str, pre_tokenizer: str, architecture: str = "qwen2", **changes: Any
    ) -> Path:
        vocabulary = gguf_vocabulary(family_tokenizers(family), pre_tokenizer)
        random = np.random.default_rng(0)

        def matrix(num_rows: int, num_columns: int) -> tuple[Any, str]:
            return 0.3 * random.standard_normal((num_rows, num_columns), dtype=np.float32), "Q8_0"

        def vector(size: int, mean: float) -> tuple[Any, str]:
            return mean + 0.1 * random.standard_normal(size, dtype=np.float32), "F32"

        tensors = {
            "token_embd.weight": matrix(len(vocabulary["tokenizer.ggml.tokens"]) + 3, 32),
            "output_norm.weight": vector(32, 1.0),
            "blk.0.attn_norm.weight": vector(32, 1.0),
            "blk.0.attn_q.weight": matrix(32, 32),
            "blk.0.attn_k.weight": matrix(16, 32),
            "blk.0.attn_v.weight": matrix(16, 32),
            "blk.0.attn_output.weight": matrix(32, 32),
            "blk.0.ffn_norm.weight": vector(32, 1.0),
            "blk.0.ffn_gate.weight": matrix(64, 32),
            "blk.0.ffn_up.weight": matrix(64, 32),
            "blk.0.ffn_down.weight": matrix(32, 64),
        }
        if architecture == "qwen2":
            sizes = {"q": 32, "k": 16, "v": 16}
            tensors |= {f"blk.0.attn_{name}.bias": vector(size, 0.0) for name, size in sizes.items()}
        settings = {
            "block_count": 1,
            "context_length": 128,
            "embedding_length": 32,
            "feed_forward_length": 64,
            "attention.head_count": 4,
            "attention.head_count_kv": 2,
            "attention.layer_norm_rms_epsilon": 1e-6,
        }
        metadata = {f"{architecture}.{name}": value for name, value in settings.items()}
        facts = {"general.architecture": architecture, "general.license": "apache-2.0"}
        write_gguf(path, facts | metadata | vocabulary | changes, tensors)
        return path

    return make


@pytest.fixture(params=["codellama", "deepseek-coder", "qwen2.5-coder", "starcoder"])
def family_name(request: pytest.FixtureRequest) -> str:
    """Each of the families with fill-in-the-middle in turn."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def family_tokenizers() -> Any:
    """From a family's name to the content of a `tokenizer.json` as it publishes it, but for the vocabulary.

    Special tokens, pre-tokenizer and all else are the family's; the vocabulary is learnt from the tiny
    documents.
    """
    makers = {
        "codellama": _codellama,
        "deepseek-coder": _deepseek_coder,
        "qwen2.5-coder": _qwen,
        "starcoder": _starcoder2,
        "granite-code": _granite_code,
        "mellum": _mellum,
        "seed-coder": _seed_coder,
        "codestral": _codestral,
    }
    return cache(lambda name: makers[name]())


def _learnt(
    pre_tokenizer: pre_tokenizers.PreTokenizer, alphabet: list[str], front: list[str], **model: Any
) -> dict[str, Any]:
    """A tokenizer with the tokens `front`, then the characters `alphabet`, then up to 250 merges."""
    backend = tokenizers.Tokenizer(models.BPE(**model))
    backend.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=len(front) + len(alphabet) + 250,
        limit_alphabet=len(alphabet),
        initial_alphabet=alphabet,
        special_tokens=front,
        show_progress=False,
    )
    backend.train_from_iterator(TINY_DOCUMENTS, trainer)
    content: dict[str, Any] = json.loads(backend.to_str())
    return content


def _finished(content: dict[str, Any], added: dict[str, bool], **parts: Any) -> dict[str, Any]:
    """The tokenizer with added tokens (name → whether they are called special) and with these parts."""
    backend = tokenizers.Tokenizer.from_str(json.dumps({**content, "added_tokens": []}))
    for part, value in parts.items():
        setattr(backend, part, value)
    for name, is_special in added.items():
        token = tokenizers.AddedToken(name, special=is_special, normalized=False)
        (backend.add_special_tokens if is_special else backend.add_tokens)([token])
    finished: dict[str, Any] = json.loads(backend.to_str())
    return finished


def _byte_level(use_regex: bool = False) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def _qwen() -> dict[str, Any]:
    words = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    split = pre_tokenizers.Split(tokenizers.Regex(words), "isolated")
    chat = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    others = ("tool_call", "/tool_call", "|fim_prefix|", "|fim_middle|", "|fim_suffix|", "|fim_pad|")
    names = [f"<{name}>" for name in (*others, "|repo_name|", "|file_sep|")]
    return _finished(
        _learnt(pre_tokenizers.Sequence([split, _byte_level()]), list(vocabulary_layout.BYTE_CHARACTERS), []),
        {**dict.fromkeys(chat, True), **dict.fromkeys(names, False)},
        normalizer=normalizers.NFC(),
        post_processor=processors.ByteLevel(trim_offsets=False),
        decoder=decoders.ByteLevel(),
    )


FIM = ("|endoftext|", "fim_prefix", "fim_middle", "fim_suffix", "fim_pad")


def _starcoder2() -> dict[str, Any]:
    return _starcoder_with(*FIM, "repo_name", "file_sep", "issue_start", "jupyter_start")


def _granite_code() -> dict[str, Any]:
    """StarCoder's first vocabulary."""
    return _starcoder_with(*FIM, "filename", "gh_stars", "issue_start", "reponame")


def _starcoder_with(*names: str) -> dict[str, Any]:
    front = [f"<{name}>" for name in names]
    split = pre_tokenizers.Digits(individual_digits=True)
    return _finished(
        _learnt(
            pre_tokenizers.Sequence([split, _byte_level(use_regex=True)]),
            list(vocabulary_layout.BYTE_CHARACTERS),
            front,
        ),
        dict.fromkeys(front, True),
        post_processor=processors.ByteLevel(trim_offsets=True),
        decoder=decoders.ByteLevel(),
    )


def _mellum() -> dict[str, Any]:
    front = [f"<{name}>" for name in (*FIM, "filename", "|im_start|", "|im_end|")]
    return _finished(
        _learnt(_byte_level(use_regex=True), list(vocabulary_layout.BYTE_CHARACTERS), front),
        dict.fromkeys(front, True),
        decoder=decoders.ByteLevel(),
    )


def _seed_coder() -> dict[str, Any]:
    words = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    split = pre_tokenizers.Split(tokenizers.Regex(words), "isolated")
    names = ("begin▁of▁sentence", "PAD▁TOKEN", "end▁of▁sentence", "fim-prefix", "fim-suffix", "fim-middle")
    front = [f"<[{name}]>" for name in names]
    return _finished(
        _learnt(
            pre_tokenizers.Sequence([split, _byte_level()]), list(vocabulary_layout.BYTE_CHARACTERS), front
        ),
        dict.fromkeys(front, True),
        decoder=decoders.ByteLevel(),
    )


def _deepseek_coder() -> dict[str, Any]:
    never_in_utf_8 = [vocabulary_layout.BYTE_CHARACTERS[byte] for byte in (0xC0, 0xC1, *range(0xF5, 0x100))]
    alphabet = [
        character for character in vocabulary_layout.BYTE_CHARACTERS if character not in never_in_utf_8
    ]
    patterns = ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+")
    splits = [pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated") for pattern in patterns]
    digits = pre_tokenizers.Digits(individual_digits=True)
    sentence = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")
    others = ("<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>", "<pad>", "<|User|>", "<|EOT|>")
    return _finished(
        _learnt(pre_tokenizers.Sequence([*splits, digits, _byte_level()]), alphabet, []),
        {
            **dict.fromkeys(never_in_utf_8, False),
            **dict.fromkeys(sentence, True),
            **dict.fromkeys(others, False),
        },
        normalizer=normalizers.Sequence([]),
        post_processor=processors.ByteLevel(trim_offsets=False),
        decoder=decoders.ByteLevel(),
    )


def _codestral() -> dict[str, Any]:
    """Mistral's third vocabulary: control tokens before the bytes."""
    controls = (
        "<unk>",
        "<s>",
        "</s>",
        *(f"[{name}]" for name in ("INST", "/INST", "PREFIX", "MIDDLE", "SUFFIX")),
    )
    return _sentencepiece(_learned_pieces(controls), controls)


def _codellama() -> dict[str, Any]:
    content = _learned_pieces(("<unk>", "<s>", "</s>"))
    model = content["model"]
    for word in ("PRE", "SUF", "MID", "EOT"):  # as published: merges lead from text to the special tokens
        token = "▁"
        for character in f"<{word}>":
            if [token, character] not in model["merges"]:
                model["merges"].append([token, character])
            token += character
            model["vocab"].setdefault(token, len(model["vocab"]))
    return _sentencepiece(content, ("<unk>", "<s>", "</s>", "▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"))


def _learned_pieces(controls: Iterable[str]) -> dict[str, Any]:
    """The vocabulary and the merges of a SentencePiece model."""
    front = [*controls, *(f"<0x{byte:02X}>" for byte in range(256))]
    alphabet = ["▁", "☺", *map(chr, range(0x21, 0x7F))]
    content = _learnt(pre_tokenizers.Metaspace(prepend_scheme="never"), alphabet, front, unk_token="<unk>")
    content["pre_tokenizer"] = None
    content["model"] |= {"byte_fallback": True, "fuse_unk": True}
    return content


def _sentencepiece(content: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """As transformers converts such a model."""
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    return _finished(
        content,
        dict.fromkeys(names, True),
        normalizer=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
        post_processor=processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)]),
        decoder=decoders.Sequence(steps),
    )
