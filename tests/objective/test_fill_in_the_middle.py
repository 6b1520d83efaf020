"""Fill-in-the-middle rows: what inference prompts with, then the infill; in blocks that lose no text."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from incoder.inference.prompts.prompter import Prompter
from incoder.inference.text_vocabulary import TextVocabulary
from incoder.objective.fill_in_the_middle import FillInTheMiddle
from incoder.objective.masking import MaskingConfig
from incoder.objective.packing import IGNORED, pack
from incoder.tokenizer.family_tokenizer import FamilyTokenizer
from incoder.tokenizer.fill_in_the_middle import FillInTheMiddleFormat
from incoder.tokenizer.formats import SPECIAL_TOKENS, training_formats

TEXT = (
    "import os\n\n\ndef größe(path):\n    # 漢字 and 🙂 are text as well\n"
    "    return os.stat(path).st_size\n\n\n"
    "class Counter:\n    def __init__(self, start=0):\n        self.count = start\n\n"
    "    def add(self, number):\n        self.count += number\n        return self.count\n"
)
ORDERS = [
    *("codellama", "codellama-spm", "deepseek-coder", "qwen2.5-coder", "starcoder", "starcoder-spm"),
    *("mellum", "seed-coder", "codestral"),
]

Contents = Callable[[str], dict[str, Any]]


def tokenizer_of(family_tokenizers: Contents, name: str) -> FamilyTokenizer:
    return FamilyTokenizer(family_tokenizers(name.removesuffix("-spm")), SPECIAL_TOKENS)


def writer_for(name: str, tokenizer: FamilyTokenizer, **settings: Any) -> FillInTheMiddle:
    rates = {"spm_rate": float(name.endswith("-spm")), "line_span_rate": 0.7, "span_boundaries": "character"}
    formats = [one for one in training_formats(tokenizer) if isinstance(one, FillInTheMiddleFormat)]
    return FillInTheMiddle(MaskingConfig(**(rates | settings)), formats, tokenizer)


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("kinds", [{}, {"arguments": 1.0, "words": 1.0}])
def test_a_block_is_the_prompt_of_inference_and_the_infill_with_its_end(
    family_tokenizers: Contents, name: str, kinds: dict[str, float]
) -> None:
    tokenizer = tokenizer_of(family_tokenizers, name)
    infilling_format = training_formats(tokenizer)[-1 if name.endswith("-spm") else 0]
    assert infilling_format.name == name
    prompter = Prompter(TextVocabulary(tokenizer, infilling_format), 2048, 64, token_healing=False)
    writer = writer_for(name, tokenizer, span_kinds=kinds)
    document = np.array(tokenizer.encode(TEXT))
    for seed in range(8):
        block = writer.block(document, np.random.default_rng(seed))
        *infill, end = block.token_ids[block.infill_start :]
        assert end == infilling_format.end_of_infill_id
        gold = tokenizer.decode(infill)
        assert gold
        assert infill == tokenizer.encode(gold)
        places = [place for place in range(len(TEXT)) if TEXT.startswith(gold, place)]
        prompts = [
            prompter.prompt([TEXT[:place], TEXT[place + len(gold) :]], []).token_ids for place in places
        ]
        assert block.token_ids[: block.infill_start] in prompts


def test_the_blocks_of_a_long_document_fit_the_window_and_hold_all_of_its_text(
    family_tokenizers: Contents,
) -> None:
    tokenizer = tokenizer_of(family_tokenizers, "qwen2.5-coder")
    names = {token_id: name for name, token_id in tokenizer.special_ids.items()}
    document = np.array(tokenizer.encode(TEXT * 6))
    writer = writer_for("qwen2.5-coder", tokenizer, plain_rate=0.3)
    texts = []
    for block in writer.blocks(document, 64, np.random.default_rng(0)):
        assert len(block.token_ids) <= 64
        prefix, suffix, infill = "", "", ""
        part = "<|fim_prefix|>"
        for token_id in block.token_ids:
            part = names.get(token_id, part)
            text = tokenizer.token_bytes(token_id).decode("utf-8", "surrogateescape")
            prefix += text if part == "<|fim_prefix|>" else ""
            suffix += text if part == "<|fim_suffix|>" else ""
            infill += text if part == "<|fim_middle|>" else ""
        texts.append(prefix + infill + suffix)
    joined = "".join(texts).encode("utf-8", "surrogateescape")
    assert joined == (TEXT * 6).encode()
    assert len(texts) > 10


def test_the_loss_leaves_out_the_marks_and_teaches_the_end(family_tokenizers: Contents) -> None:
    tokenizer = tokenizer_of(family_tokenizers, "starcoder")
    [infilling_format, _] = training_formats(tokenizer)
    writer = writer_for("starcoder", tokenizer)
    block = writer.block(np.array(tokenizer.encode(TEXT)), np.random.default_rng(3))
    rows = pack([block.token_ids], 256, infilling_format=infilling_format, tokenizer=tokenizer)
    ids = tokenizer.special_ids
    targets = rows.targets[0].tolist()
    for mark in ("<fim_suffix>", "<fim_middle>"):
        assert targets[block.token_ids.index(ids[mark]) - 1] == IGNORED
    assert targets[len(block.token_ids) - 2] == infilling_format.end_of_infill_id
    assert targets[len(block.token_ids) - 1] == IGNORED  # nothing follows


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_plain_block_is_a_completion_prompt(family_tokenizers: Contents, rate: float) -> None:
    tokenizer = tokenizer_of(family_tokenizers, "codellama")
    [infilling_format, _] = training_formats(tokenizer)
    document = np.array(tokenizer.encode(TEXT))
    writer = writer_for("codellama", tokenizer, plain_rate=rate)
    block = writer.block(document, np.random.default_rng(0))
    plain = infilling_format.prompt([tokenizer.encode_start(TEXT)])
    assert (block.token_ids == plain) == (rate == 1.0)
    assert (block.infill_start == len(block.token_ids)) == (rate == 1.0)


def test_the_same_seed_draws_the_same_block(family_tokenizers: Contents) -> None:
    tokenizer = tokenizer_of(family_tokenizers, "qwen2.5-coder")
    document = np.array(tokenizer.encode(TEXT))
    first, second, third = (
        writer_for("qwen2.5-coder", tokenizer).block(document, np.random.default_rng(seed)).token_ids
        for seed in (1, 1, 2)
    )
    assert first == second
    assert first != third
