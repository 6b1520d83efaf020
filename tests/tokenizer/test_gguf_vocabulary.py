"""Each family's vocabulary as its GGUF files have it, beside its own `tokenizer.json`."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import tokenizers

from incoder.errors import IncoderError
from incoder.tokenizer.family_tokenizer import FamilyTokenizer
from incoder.tokenizer.formats import SPECIAL_TOKENS
from incoder.tokenizer.gguf_vocabulary import PRE_TOKENIZERS, choose_gguf_format, read_vocabulary

Contents = Callable[[str], dict[str, Any]]
Convert = Callable[[dict[str, Any], str], dict[str, Any]]

TEXTS = (
    "def größe(xs):\n    return sum(xs) / len(xs)  # 12345 and 6\n",
    "\n\n\t if x:\r\n\t\tself.name = 'it''s'\r\n",
    "漢字 and 🙂 <|endoftext|> <fim_prefix> ▁<PRE> [PREFIX]  ☺",
    " x",
    "",
)
NAMES = {
    "codellama": "spm",
    "codestral": "spm",
    "deepseek-coder": "deepseek-coder",
    "qwen2.5-coder": "qwen2",
    "starcoder": "starcoder",
    "granite-code": "refact",
    "mellum": "mellum",
    "seed-coder": "seed-coder",
}


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_those_of_the_family_s_own_file(
    name: str, family_tokenizers: Contents, gguf_vocabulary: Convert
) -> None:
    content = family_tokenizers(name)
    tokenizer = read_vocabulary(gguf_vocabulary(content, NAMES[name]))
    peer = FamilyTokenizer(content, SPECIAL_TOKENS)
    assert tokenizer.vocab_size == peer.vocab_size
    assert tokenizer.special_ids == peer.special_ids
    for text in TEXTS:
        assert tokenizer.encode(text) == peer.encode(text)
        assert tokenizer.encode_start(text) == peer.encode_start(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("name", NAMES)
def test_the_vocabulary_decides_the_infilling_format(
    name: str, family_tokenizers: Contents, gguf_vocabulary: Convert
) -> None:
    metadata = gguf_vocabulary(family_tokenizers(name), NAMES[name])
    layout = choose_gguf_format(metadata, read_vocabulary(metadata))
    assert layout.name == {"granite-code": "starcoder"}.get(name, name)
    if name == "qwen2.5-coder":  # a name decides otherwise
        with pytest.raises(IncoderError, match="the vocabulary has no <fim_prefix>"):
            choose_gguf_format(metadata, read_vocabulary(metadata), "starcoder")


def test_pre_tokenizers_split_as_their_families_do() -> None:
    """Most of them differ in numbers, the rest in line ends after signs."""
    pieces = {
        "gpt-2": ["a", " 12345", ");", "\n\n"],
        "starcoder": ["a", " ", "1", "2", "3", "4", "5", ");", "\n\n"],
        "llama-bpe": ["a", " ", "123", "45", ");\n\n"],
        "qwen2": ["a", " ", "1", "2", "3", "4", "5", ");\n\n"],
        "seed-coder": ["a", " ", "1", "2", "3", "4", "5", ");", "\n\n"],
        "deepseek-coder": ["a", " ", "1", "2", "3", "4", "5", ");", "\n", "\n"],
    }
    for name, expected in pieces.items():
        model = {"type": "BPE", "vocab": {"a": 0}, "merges": []}
        content = {"version": "1.0", "model": model, "pre_tokenizer": PRE_TOKENIZERS[name]}
        step = tokenizers.Tokenizer.from_str(json.dumps(content)).pre_tokenizer
        found = [piece for piece, _ in step.pre_tokenize_str("a 12345);\n\n")]
        assert [piece.replace("Ġ", " ").replace("Ċ", "\n") for piece in found] == expected, name


def test_a_whole_word_is_one_token_where_the_family_says_so(
    family_tokenizers: Contents, gguf_vocabulary: Convert
) -> None:
    """Llama 3 has tokens that its merges do not lead to."""
    metadata = gguf_vocabulary(family_tokenizers("qwen2.5-coder"), "llama-bpe")
    metadata["tokenizer.ggml.tokens"].append("zebra")
    metadata["tokenizer.ggml.token_type"].append(1)
    metadata["tokenizer.ggml.add_bos_token"] = False
    last = len(metadata["tokenizer.ggml.tokens"]) - 1
    assert read_vocabulary(metadata).encode("zebra") == [last]
    assert last not in read_vocabulary(metadata | {"tokenizer.ggml.pre": "qwen2"}).encode("zebra")


@pytest.mark.parametrize(
    ("name", "changes", "starts"),
    [
        ("codellama", {}, True),  # SentencePiece's kind begins a text unless the file says otherwise
        ("codellama", {"tokenizer.ggml.add_bos_token": False}, False),
        ("qwen2.5-coder", {"tokenizer.ggml.bos_token_id": 300}, False),
        ("qwen2.5-coder", {"tokenizer.ggml.bos_token_id": 300, "tokenizer.ggml.add_bos_token": True}, True),
        ("qwen2.5-coder", {"tokenizer.ggml.bos_token_id": 300, "tokenizer.ggml.pre": "llama-bpe"}, True),
    ],
)
def test_a_text_begins_as_the_file_says(
    name: str,
    changes: dict[str, Any],
    starts: bool,
    family_tokenizers: Contents,
    gguf_vocabulary: Convert,
) -> None:
    """Prompts to complete, prompts to infill and scored texts begin with the same token."""
    metadata = gguf_vocabulary(family_tokenizers(name), NAMES[name]) | changes
    tokenizer = read_vocabulary(metadata)
    begin = [metadata["tokenizer.ggml.bos_token_id"]] if starts else []
    layout = choose_gguf_format(metadata, tokenizer)
    assert tokenizer.start_ids == tuple(begin)
    assert layout.prompt([[7, 8]]) == [*begin, 7, 8]
    assert layout.prompt([[7], [8]])[: len(begin) + 1] == [*begin, layout.prompt([[7], [8]])[len(begin)]]
    assert layout.document_start_id == (begin[0] if begin else None)


def test_infilling_tokens_that_only_the_metadata_names_are_used(
    family_tokenizers: Contents, gguf_vocabulary: Convert
) -> None:
    """Of a family that is not known: their order is that of most."""
    content = family_tokenizers("qwen2.5-coder")
    renamed = json.loads(json.dumps(content).replace("<|fim_", "<|hole_"))
    metadata = gguf_vocabulary(renamed, "qwen2")
    tokens = metadata["tokenizer.ggml.tokens"]
    assert choose_gguf_format(metadata, read_vocabulary(metadata)).max_num_holes == 0
    names = {"fim_pre": "<|hole_prefix|>", "fim_suf": "<|hole_suffix|>", "fim_mid": "<|hole_middle|>"}
    ids = {role: tokens.index(token) for role, token in (names | {"eos": "<|endoftext|>"}).items()}
    metadata |= {f"tokenizer.ggml.{role}_token_id": token_id for role, token_id in ids.items()}
    layout = choose_gguf_format(metadata, read_vocabulary(metadata))
    assert layout.name == "gguf"
    assert layout.prompt([[7], [8]]) == [ids["fim_pre"], 7, ids["fim_suf"], 8, ids["fim_mid"]]
    assert layout.end_of_infill_ids == {ids["eos"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "bert"}, "its vocabulary is of the kind 'bert'; 'gpt2' .* and 'llama' .* are supported"),
        ({"model": None}, "its vocabulary is of the kind None"),
        (
            {"pre": None},
            "names no pre-tokenizer, and without its rules the ids would differ; known are gpt-2",
        ),
        ({"pre": "tekken"}, "has the pre-tokenizer 'tekken'"),
        ({"pre": ["qwen2"]}, "has the pre-tokenizer"),
        ({"tokens": None}, "it has no vocabulary: tokenizer.ggml.tokens must be a list of strings"),
        ({"tokens": [1, 2]}, "tokenizer.ggml.tokens must be a list of strings"),
        ({"tokens": "abc"}, "tokenizer.ggml.tokens must be a list of strings"),
        ({"token_type": [1]}, "tokenizer.ggml.token_type must hold a type for each of the"),
        ({"merges": ["a b c"]}, "tokenizer.ggml.merges must hold pairs of tokens, got 'a b c'"),
        ({"add_bos_token": True}, "has no tokenizer.ggml.bos_token_id to say which"),
        ({"bos_token_id": 10**6}, "bos_token_id must be the id of one of the"),
        ({"eos_token_id": -1}, "eos_token_id must be the id of one of the"),
        ({"model": "llama"}, "tokenizer.ggml.scores must hold a number for each"),
    ],
)
def test_what_cannot_be_read_with_equal_ids_is_refused(
    changes: dict[str, Any], message: str, family_tokenizers: Contents, gguf_vocabulary: Convert
) -> None:
    metadata = gguf_vocabulary(family_tokenizers("qwen2.5-coder"), "qwen2")
    metadata |= {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
    metadata = {key: value for key, value in metadata.items() if value is not None}
    with pytest.raises(IncoderError, match=message):
        read_vocabulary(metadata)


def test_scores_that_are_no_numbers_are_refused(
    family_tokenizers: Contents, gguf_vocabulary: Convert
) -> None:
    metadata = gguf_vocabulary(family_tokenizers("codellama"), "spm")
    metadata["tokenizer.ggml.scores"] = ["high"] * len(metadata["tokenizer.ggml.tokens"])
    with pytest.raises(IncoderError, match=r"tokenizer\.ggml\.scores must hold a number for each"):
        read_vocabulary(metadata)


def test_a_token_without_end_is_refused_before_it_is_cut(
    family_tokenizers: Contents, gguf_vocabulary: Convert
) -> None:
    """SentencePiece's merges are found by cutting each token everywhere: this one would take days."""
    metadata = gguf_vocabulary(family_tokenizers("codellama"), "spm")
    metadata["tokenizer.ggml.tokens"][-1] = "a" * 10**7
    with pytest.raises(
        IncoderError, match=r"its token 'a+\.\.\.a+' has 10,000,000 characters; at most 1,000"
    ):
        read_vocabulary(metadata)


def test_unused_tokens_have_no_bytes(family_tokenizers: Contents, gguf_vocabulary: Convert) -> None:
    """Converters add such tokens until the vocabulary has as many as the embedding has rows."""
    metadata = gguf_vocabulary(family_tokenizers("qwen2.5-coder"), "qwen2")
    metadata["tokenizer.ggml.tokens"].append("[PAD1]")
    metadata["tokenizer.ggml.token_type"].append(5)
    tokenizer = read_vocabulary(metadata)
    assert tokenizer.token_bytes(tokenizer.vocab_size - 1) == b""
    assert tokenizer.decode(tokenizer.encode("[PAD1]")) == "[PAD1]"
    layout = choose_gguf_format(metadata, tokenizer)
    assert tokenizer.vocab_size - 1 in layout.never_generated_ids
