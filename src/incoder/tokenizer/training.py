"""Learn a byte-level BPE vocabulary from documents.

Documents in (text, attributes already rendered), a `Tokenizer` out. Reads no files.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

import tokenizers
from pydantic import Field
from tokenizers import models, pre_tokenizers, trainers

from incoder.config import Recipe, UserPath
from incoder.errors import IncoderError
from incoder.tokenizer import vocabulary_layout
from incoder.tokenizer.sample import sample_text
from incoder.tokenizer.tokenizer import Tokenizer

DEFAULT_MAX_SAMPLE_BYTES = 20_000_000  # 1.3 GB of memory; 2–5 % more tokens than from 50 MB
DEFAULT_MAX_TOKEN_LENGTH = 32  # bytes; costs 0.3 % more tokens, and keeps whole licence headers out
MIN_FREQUENCY = 2


class TokenizerRecipe(Recipe):
    """The recipe of `incoder tokenizer train`.

    `corpus` is a folder that `incoder corpus build` made; a relative path starts at the working directory.
    `seed` draws the sample, and where attributes are written into the documents.
    """

    corpus: UserPath
    split: str = "train"
    vocab_size: int = Field(ge=vocabulary_layout.MIN_VOCAB_SIZE)
    max_sample_bytes: int = Field(default=DEFAULT_MAX_SAMPLE_BYTES, ge=1_000_000)
    max_token_length: int = Field(default=DEFAULT_MAX_TOKEN_LENGTH, ge=2)
    seed: int = 0


def train_tokenizer(
    documents: Iterable[str],
    vocab_size: int,
    max_sample_bytes: int = DEFAULT_MAX_SAMPLE_BYTES,
    max_token_length: int = DEFAULT_MAX_TOKEN_LENGTH,
    seed: int = 0,
    on_read: Callable[[int], None] | None = None,
) -> Tokenizer:
    """Learn a vocabulary of exactly `vocab_size` ids, the 261 special ones included.

    The documents are read once, and the vocabulary is learned from a sample of at most `max_sample_bytes` of
    them. `on_read` is called with the number of characters of each document. The same documents in the same
    order with the same settings give the same tokenizer.

    Raises:
        IncoderError: `vocab_size` is too small for the special tokens and every byte, or the sample has too
            few repetitions for so large a vocabulary.

    >>> train_tokenizer(["def f(x):\\n    return x\\n"] * 9, vocab_size=520).vocab_size
    520
    """
    if vocab_size < vocabulary_layout.MIN_VOCAB_SIZE:
        raise IncoderError(
            f"vocab_size must be at least {vocabulary_layout.MIN_VOCAB_SIZE} "
            f"({vocabulary_layout.NUM_SPECIAL_TOKENS} special tokens and 256 bytes), got {vocab_size}"
        )
    sample = sample_text(documents, max_sample_bytes, seed, on_read)
    # A merge that spells a special token ("<s>" is common in text about HTML) would take its id and make text
    # special. Such merges are removed, so more are learned at first.
    num_bpe_tokens = vocab_size - vocabulary_layout.NUM_SPECIAL_TOKENS
    learned = _learn(sample, num_bpe_tokens + vocabulary_layout.NUM_SPECIAL_TOKENS, max_token_length)
    bpe_tokens, merges = _first_tokens(learned, num_bpe_tokens)
    if len(bpe_tokens) < num_bpe_tokens:
        raise IncoderError(
            f"the sample of {sum(map(len, sample)):,} characters yields only "
            f"{len(bpe_tokens) + vocabulary_layout.NUM_SPECIAL_TOKENS} tokens, not {vocab_size}; "
            "use more text, or a smaller vocab_size"
        )
    return Tokenizer(vocabulary_layout.assemble(bpe_tokens, merges))


def _learn(sample: list[str], num_bpe_tokens: int, max_token_length: int) -> dict[str, Any]:
    """Train a BPE model and return it as `tokenizer.json` has it, without special tokens, ids from 0."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = vocabulary_layout.text_pre_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=num_bpe_tokens,
        min_frequency=MIN_FREQUENCY,
        max_token_length=max_token_length + 1,  # the trainer stops short of the number it is given
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(sample, trainer=trainer, length=len(sample))
    model: dict[str, Any] = json.loads(backend.to_str())["model"]
    return model


def _first_tokens(model: dict[str, Any], num_tokens: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Return a trained model's first tokens and their merges, without the special tokens' spellings."""
    tokens = dict.fromkeys(sorted(vocabulary_layout.BYTE_CHARACTERS))
    merges: list[tuple[str, str]] = []
    for left, right in model["merges"]:
        token = left + right
        if token in vocabulary_layout.SPECIAL_TOKENS or left not in tokens or right not in tokens:
            continue
        if token not in tokens and len(tokens) == num_tokens:
            break
        tokens[token] = None
        merges.append((left, right))
    return list(tokens), merges
