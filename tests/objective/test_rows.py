import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from incoder.config import load_recipe
from incoder.embedded_models import EMBEDDED
from incoder.objective.masking import MaskingConfig
from incoder.objective.packing import IGNORED, PADDING, PackedRows
from incoder.objective.rows import training_rows
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.training.recipe import TrainingRecipe

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


class Files:
    """Files of very different lengths, each recognised by a token that no other has."""

    def __init__(self, tokenizer: Tokenizer, code: bytes, number: int = 24) -> None:
        lines = tokenizer.encode_bytes(code)
        rng = np.random.default_rng(0)
        self.lengths = np.exp(rng.normal(4.5, 1.0, number)).astype(int)
        self.documents = [
            np.array([2, 100 + index, *(lines * (1 + length // len(lines)))[:length]])
            for index, length in enumerate(self.lengths.tolist())
        ]

    def document(self, index: int, /) -> NDArray[np.int64]:
        return self.documents[index]


@pytest.fixture
def files(tiny_tokenizer: Tokenizer, code: bytes) -> Files:
    return Files(tiny_tokenizer, code)


def rows_of(
    files: Files, tokenizer: Tokenizer, indices: list[int] | None = None, **changes: Any
) -> PackedRows:
    settings: dict[str, Any] = {"epoch": 0, "seed": 0, "window": 128, **changes}
    return training_rows(
        files,
        range(len(files.documents)) if indices is None else indices,
        infilling_format=CausalMaskingFormat(tokenizer),
        tokenizer=tokenizer,
        masking=MaskingConfig(span_boundaries="character"),
        **settings,
    )


def segments_of(rows: PackedRows) -> list[list[int]]:
    return sorted(
        token_ids[segment_ids == segment_id].tolist()
        for token_ids, segment_ids in zip(rows.token_ids, rows.segment_ids, strict=True)
        for segment_id in range(segment_ids.max() + 1)
    )


def test_a_document_is_masked_alike_whatever_is_beside_it(files: Files, tiny_tokenizer: Tokenizer) -> None:
    together = segments_of(rows_of(files, tiny_tokenizer))
    assert segments_of(rows_of(files, tiny_tokenizer, list(reversed(range(24))))) == together
    alone = [
        segment for index in range(24) for segment in segments_of(rows_of(files, tiny_tokenizer, [index]))
    ]
    assert sorted(alone) == together


@pytest.mark.parametrize("change", [{"epoch": 1}, {"seed": 1}])
def test_another_epoch_or_seed_masks_otherwise(
    files: Files, tiny_tokenizer: Tokenizer, change: dict[str, Any]
) -> None:
    rows, others = rows_of(files, tiny_tokenizer), rows_of(files, tiny_tokenizer, **change)
    shared = [segment for segment in segments_of(rows) if segment in segments_of(others)]
    assert len(shared) < 3


def test_the_same_arguments_give_the_same_rows(files: Files, tiny_tokenizer: Tokenizer) -> None:
    rows, again = rows_of(files, tiny_tokenizer), rows_of(files, tiny_tokenizer)
    assert np.array_equal(rows.token_ids, again.token_ids)
    assert np.array_equal(rows.targets, again.targets)


def test_all_is_trained_but_the_sentinels_and_what_begins_a_segment(
    files: Files, tiny_tokenizer: Tokenizer
) -> None:
    rows = rows_of(files, tiny_tokenizer)
    tokens = rows.token_ids[rows.segment_ids != PADDING]
    is_sentinel = np.isin(tokens, tiny_tokenizer.sentinel_ids)
    num_starts = (rows.positions == 0)[rows.segment_ids != PADDING].sum()
    num_sentinel_starts = is_sentinel[(rows.positions == 0)[rows.segment_ids != PADDING]].sum()
    num_trained = (rows.targets != IGNORED).sum()
    assert num_trained == len(tokens) - is_sentinel.sum() - num_starts + num_sentinel_starts
    assert not np.isin(rows.targets, tiny_tokenizer.sentinel_ids).any()
    assert (rows.targets == tiny_tokenizer.end_of_mask_id).sum() == (
        tokens == tiny_tokenizer.end_of_mask_id
    ).sum()


def test_documents_of_one_token_give_no_rows(tiny_tokenizer: Tokenizer, files: Files) -> None:
    files.documents = [np.array([2]), np.array([2, 70])]
    assert len(rows_of(files, tiny_tokenizer, [0])) == 0
    assert len(rows_of(files, tiny_tokenizer, [0, 1])) == 1


def test_less_than_three_percent_is_padding(tiny_tokenizer: Tokenizer, code: bytes) -> None:
    files = Files(tiny_tokenizer, code, number=100)
    rows = rows_of(files, tiny_tokenizer)
    assert (rows.segment_ids == PADDING).mean() < 0.03


@pytest.mark.parametrize(
    ("recipe", "digest"),
    [
        ("mini/train.toml", "c44ab67ea6f09e56"),
        ("mini/second.toml", "6957e770ccb9778c"),
        ("mini/train-cpu.toml", "ea84448d7af5460b"),
        ("tiny/train.toml", "b0563f4077663dc6"),
    ],
)
def test_recipes_from_before_kinds_of_spans_give_the_rows_that_they_gave(
    recipe: str, digest: str, code: bytes
) -> None:
    # The digests are of version 0.1 (f1869f1), which had no kinds of spans.
    tokenizer = Tokenizer.from_file(EMBEDDED / "mini")
    masking = load_recipe(TrainingRecipe, RECIPES / recipe).masking

    class Repeated:
        def document(self, index: int, /) -> NDArray[np.int64]:
            return np.array([tokenizer.document_start_id, *tokenizer.encode_bytes(code * (1 + 3 * index))])

    rows = training_rows(
        Repeated(),
        range(12),
        epoch=1,
        seed=3,
        window=256,
        masking=masking,
        infilling_format=CausalMaskingFormat(tokenizer),
        tokenizer=tokenizer,
    )
    content = rows.token_ids.astype("<i8").tobytes() + rows.targets.astype("<i8").tobytes()
    assert hashlib.sha256(content).hexdigest()[:16] == digest
