"""A world small enough to train in: a dozen documents, a vocabulary of 640, a model of 30,000 weights."""

from pathlib import Path

import numpy as np
import pytest

from incoder.config import load_recipe
from incoder.corpus.storage.token_shards import TokenShardWriter, write_meta
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training.recipe import TrainingRecipe

_TEXT = "def add_{0}(first, second):\n    total = first + second\n    return total * {0}\n\n\n"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Tokenizer) -> Path:
    """A folder with `tokens/` (train and validation) and `tokenizer/`."""
    folder = tmp_path_factory.mktemp("world")
    tiny_tokenizer.save(folder / "tokenizer")
    write_shards(folder / "tokens", tiny_tokenizer, num_documents=12)
    return folder


@pytest.fixture(scope="session")
def other_tokens(world: Path, tiny_tokenizer: Tokenizer) -> Path:
    """The token shards of another corpus."""
    write_shards(world / "other_tokens", tiny_tokenizer, num_documents=11)
    return world / "other_tokens"


def write_shards(folder: Path, tokenizer: Tokenizer, num_documents: int) -> None:
    folder.mkdir()
    splits = {}
    for split, count in (("train", num_documents), ("validation", 2)):
        with TokenShardWriter(folder, split, np.dtype("<u2")) as writer:
            for number in range(count):
                text = "".join(_TEXT.format(number * 10 + i) for i in range(8))
                writer.write([tokenizer.document_start_id, *tokenizer.encode(text)], len(text))
        splits[split] = writer.counts()
    meta = {
        "dtype": "uint16",
        "vocab_size": tokenizer.vocab_size,
        "tokenizer_fingerprint": tokenizer.fingerprint,
        "splits": splits,
    }
    write_meta(folder, meta)


@pytest.fixture(scope="session")
def recipe_file(world: Path) -> Path:
    path = world / "train.toml"
    path.write_text(
        f"""
tokens = "{world}/tokens"
tokenizer = "{world}/tokenizer"
[model]
hidden_size = 32
num_layers = 2
num_heads = 2
num_kv_heads = 1
inner_size = 48
max_positions = 128
[masking]
span_boundaries = "character"
line_span_rate = 0.5
plain_rate = 0.2
[optimizer]
name = "muon"
warmup_steps = 3
[training]
steps = 12
tokens_per_step = 256
phases = [{{ window = 64, until = 0.5 }}, {{ window = 128, until = 1.0 }}]
documents_per_chunk = 4
checkpoint_every = 3
[evaluation]
every = 6
max_tokens = 1024
""",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def recipe(recipe_file: Path) -> TrainingRecipe:
    return load_recipe(TrainingRecipe, recipe_file)
