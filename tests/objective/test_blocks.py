from collections.abc import Iterable
from itertools import product
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from incoder.objective.blocks import masked_blocks
from incoder.objective.masking import Masker, MaskingConfig, unmask
from incoder.objective.span_kinds.mixture import SpanKind
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer

SETTINGS = [
    MaskingConfig.model_validate(
        {
            "rule": rule,
            "span_boundaries": boundaries,
            "line_span_rate": 0.5,
            "plain_rate": 0.2,
            "mean_spans": mean,
        }
    )
    for rule, boundaries, mean in product(("paper", "released-code"), ("token", "character"), (1.0, 30.0))
] + [
    MaskingConfig(
        mean_spans=4.0,
        line_span_rate=1.0,
        num_tail_lines=3,
        span_boundaries="character",
        span_kinds=dict.fromkeys(get_args(SpanKind), 1.0),
    )
]


def document_of(data: bytes, tokenizer: Tokenizer) -> NDArray[np.int64]:
    return np.array([tokenizer.document_start_id, *tokenizer.encode_bytes(data)])


@given(
    config=st.sampled_from(SETTINGS),
    data=st.lists(
        st.sampled_from(
            [b"import os", b"\n", b"    return self.count", b"        ", b"x", "🙂".encode(), b"\xe9"]
        ),
        max_size=60,
    ).map(b"".join),
    window=st.integers(16, 48),
    seed=st.integers(0, 2**32),
)
def test_blocks_fit_the_window_lose_nothing_and_tell_whether_more_follows(
    tiny_tokenizer: Tokenizer,
    infilling_format: CausalMaskingFormat,
    config: MaskingConfig,
    data: bytes,
    window: int,
    seed: int,
) -> None:
    document = document_of(data, tiny_tokenizer)
    masker = Masker(config, infilling_format, tiny_tokenizer)
    blocks = list(masked_blocks(document, masker, window, np.random.default_rng(seed)))
    assert all(0 < len(block) <= window for block in blocks)
    restored: list[int] = []
    for number, block in enumerate(blocks):
        # Parsing refuses a span without its end-of-mask.
        _, spans, continues = infilling_format.parse(block)
        assert continues == (bool(spans) and number < len(blocks) - 1)
        restored += unmask(block, infilling_format)
    assert tiny_tokenizer.decode_bytes(restored) == data
    if config.span_boundaries == "token":
        assert restored == document.tolist()
    assert [block.count(tiny_tokenizer.document_start_id) for block in blocks] == [1] + [0] * (
        len(blocks) - 1
    )


@pytest.mark.parametrize("boundaries", ["token", "character"])
def test_blocks_of_a_long_document_fill_the_window(
    tiny_tokenizer: Tokenizer, infilling_format: CausalMaskingFormat, code: bytes, boundaries: str
) -> None:
    config = MaskingConfig.model_validate({"span_boundaries": boundaries})
    masker = Masker(config, infilling_format, tiny_tokenizer)
    document = document_of(code * 100, tiny_tokenizer)
    *blocks, _ = masked_blocks(document, masker, 256, np.random.default_rng(0))
    lengths = [len(block) for block in blocks]
    assert np.mean(lengths) > 0.995 * 256
    if boundaries == "token":
        assert set(lengths) == {256}
    assert all(infilling_format.parse(block)[2] for block in blocks)


def test_edges_fall_inside_tokens_of_full_blocks_as_often_as_of_others(
    tiny_tokenizer: Tokenizer, infilling_format: CausalMaskingFormat, code: bytes
) -> None:
    # Blocks that turn out too long must not be drawn again until they happen to fit.
    masker = Masker(MaskingConfig(span_boundaries="character"), infilling_format, tiny_tokenizer)
    document = document_of(code * 1000, tiny_tokenizer)
    borders = np.cumsum([len(tiny_tokenizer.token_bytes(token_id)) for token_id in document.tolist()])

    def share_inside(blocks: Iterable[list[int]]) -> float:
        """The share of first spans that begin inside of a token."""
        is_inside, offset = [], 0
        for block in blocks:
            kept, _, _ = infilling_format.parse(block)
            is_inside.append(offset + len(tiny_tokenizer.decode_bytes(kept[0])) not in borders)
            offset += len(tiny_tokenizer.decode_bytes(block))
        assert offset == len(code) * 1000
        return float(np.mean(is_inside))

    full = share_inside(masked_blocks(document, masker, 128, np.random.default_rng(0)))
    rng = np.random.default_rng(1)
    parts = (document[start : start + 120] for start in range(0, len(document), 120))
    others = share_inside(masker.mask(part, masker.draw_num_spans(rng), rng) for part in parts)
    assert full == pytest.approx(others, abs=0.05)
