from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from incoder.config import load_recipe
from incoder.errors import IncoderError
from incoder.objective.masking import Masker, MaskingConfig, unmask
from incoder.objective.span_kinds.mixture import SpanKind
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer

START = Tokenizer.document_start_id
SETTINGS = [
    MaskingConfig.model_validate(
        {"rule": rule, "span_boundaries": boundaries, "line_span_rate": rate, "mean_spans": mean}
    )
    for rule, boundaries, rate, mean in product(
        ("paper", "released-code"), ("token", "character"), (0.0, 0.5, 1.0), (1.0, 5.0)
    )
] + [
    MaskingConfig(mean_spans=5.0, span_counts="geometric", line_span_rate=0.5),
    MaskingConfig(mean_spans=3.0, line_span_rate=1.0, num_tail_lines=2),
    MaskingConfig(mean_spans=3.0, line_span_rate=1.0, num_tail_lines=9, vary_tail_lines=True),
    *(
        MaskingConfig(
            mean_spans=6.0,
            line_span_rate=0.9,
            num_tail_lines=num_tail_lines,
            span_boundaries=boundaries,
            span_kinds=dict.fromkeys(get_args(SpanKind), 1.0),
        )
        for boundaries in get_args(MaskingConfig.model_fields["span_boundaries"].annotation)
        for num_tail_lines in (0, 4)
    ),
]


def masker(tokenizer: Tokenizer, config: MaskingConfig) -> Masker:
    return Masker(config, CausalMaskingFormat(tokenizer), tokenizer)


@given(
    config=st.sampled_from(SETTINGS),
    data=st.binary(max_size=40)
    | st.lists(
        st.sampled_from([b"import os", b"\n", b"\r\n", b"    ", b"return", "é🙂".encode(), b"\xe9"])
    ).map(b"".join),
    is_first=st.booleans(),
    continues=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_unmasking_gives_back_the_text(
    tiny_tokenizer: Tokenizer,
    infilling_format: CausalMaskingFormat,
    config: MaskingConfig,
    data: bytes,
    is_first: bool,
    continues: bool,
    seed: int,
) -> None:
    token_ids = [START] * is_first + tiny_tokenizer.encode_bytes(data)
    rng = np.random.default_rng(seed)
    ours = masker(tiny_tokenizer, config)
    masked = ours.mask(np.array(token_ids, np.int64), ours.draw_num_spans(rng), rng, continues=continues)
    restored = unmask(masked, infilling_format)
    assert tiny_tokenizer.decode_bytes(restored) == data
    assert masked[: int(is_first)] == [START] * is_first
    if config.span_boundaries == "token":
        assert restored == token_ids
    _, spans, told_to_continue = infilling_format.parse(masked)
    assert told_to_continue == (continues and bool(spans))
    assert all(spans)


def test_token_boundaries_add_three_tokens_a_span_and_one_where_the_text_goes_on(
    tiny_tokenizer: Tokenizer, infilling_format: CausalMaskingFormat, code: bytes
) -> None:
    token_ids = np.array(tiny_tokenizer.encode_bytes(code))
    rng = np.random.default_rng(0)
    for num_spans, continues in product((1, 3, 20), (False, True)):
        masked = masker(tiny_tokenizer, MaskingConfig()).mask(token_ids, num_spans, rng, continues=continues)
        assert len(masked) == len(token_ids) + 3 * num_spans + continues
        assert len(infilling_format.parse(masked)[1]) == num_spans


def test_character_boundaries_split_tokens_and_never_characters(
    tiny_tokenizer: Tokenizer, infilling_format: CausalMaskingFormat, code: bytes
) -> None:
    token_ids = np.array(tiny_tokenizer.encode_bytes(code))
    ours = masker(tiny_tokenizer, MaskingConfig(span_boundaries="character"))
    borders = set(np.cumsum([len(tiny_tokenizer.token_bytes(int(token_id))) for token_id in token_ids]))
    num_inside = 0
    for seed in range(100):
        kept, spans, _ = infilling_format.parse(ours.mask(token_ids, 1, np.random.default_rng(seed)))
        prefix = tiny_tokenizer.decode_bytes(kept[0])
        for part in (*kept, *spans):
            tiny_tokenizer.decode_bytes(part).decode("utf-8")
        num_inside += len(prefix) not in {0, *borders}
    assert num_inside > 30


def test_line_spans_with_token_boundaries_are_whole_tokens(
    tiny_tokenizer: Tokenizer, infilling_format: CausalMaskingFormat
) -> None:
    # The two newlines are one token, so a whole line takes both.
    token_ids = np.array(tiny_tokenizer.encode("return x\n\nreturn y"))
    ours = masker(tiny_tokenizer, MaskingConfig(line_span_rate=1.0))
    spans = set()
    for seed in range(1000):
        _, (span,), _ = infilling_format.parse(ours.mask(token_ids, 1, np.random.default_rng(seed)))
        spans.add(tiny_tokenizer.decode(span))
    assert spans == {
        "return x\n\n",
        "return x",
        "x",
        "return x\n\nreturn y",
        "x\n\nreturn y",
        "return y",
        "y",
    }


@pytest.mark.parametrize(("rate", "share"), [(0.0, 0.0), (0.3, 0.3), (1.0, 1.0)])
def test_a_share_of_blocks_is_left_plain(tiny_tokenizer: Tokenizer, rate: float, share: float) -> None:
    ours = masker(tiny_tokenizer, MaskingConfig(plain_rate=rate))
    rng = np.random.default_rng(0)
    draws = [ours.draw_num_spans(rng) for _ in range(4000)]
    assert draws.count(0) / 4000 == pytest.approx(share, abs=0.03)
    assert ours.mask(np.array([START, 70, 71]), 0, rng) == [START, 70, 71]


@pytest.mark.parametrize("mean", [1.0, 3.0, 8.0])
def test_geometric_numbers_of_spans_halve_at_a_constant_rate(tiny_tokenizer: Tokenizer, mean: float) -> None:
    ours = masker(tiny_tokenizer, MaskingConfig(mean_spans=mean, span_counts="geometric"))
    rng = np.random.default_rng(0)
    draws = np.array([ours.draw_num_spans(rng) for _ in range(8000)])
    assert draws.min() == 1
    assert draws.mean() == pytest.approx(mean, rel=0.05)
    for number in (1, 2, 5):
        assert np.mean(draws > number) == pytest.approx((1 - 1 / mean) ** number, abs=0.02)


@pytest.mark.parametrize("token_ids", [[], [START]])
def test_a_block_without_text_is_left_as_it_is(tiny_tokenizer: Tokenizer, token_ids: list[int]) -> None:
    for config in SETTINGS:
        rng = np.random.default_rng(0)
        assert masker(tiny_tokenizer, config).mask(np.array(token_ids, np.int64), 2, rng) == token_ids


def test_there_are_never_more_spans_than_sentinels(
    tiny_tokenizer: Tokenizer, infilling_format: CausalMaskingFormat
) -> None:
    token_ids = np.full(600, 70)
    ours = masker(tiny_tokenizer, MaskingConfig())
    for continues in (False, True):
        masked = ours.mask(token_ids, 400, np.random.default_rng(0), continues=continues)
        assert len(infilling_format.parse(masked)[1]) == 256 - continues


def test_special_tokens_inside_a_document_are_refused(tiny_tokenizer: Tokenizer) -> None:
    with pytest.raises(IncoderError, match="no special tokens but the first"):
        masker(tiny_tokenizer, MaskingConfig()).mask(np.array([70, START]), 1, np.random.default_rng(0))


def test_recipes_may_use_the_earlier_names_of_keys(tmp_path: Path) -> None:
    path = tmp_path / "masking.toml"
    path.write_text('edges = "character"\nnum_lead_lines = 24\nvary_lead_lines = true\n')
    noted: list[str] = []
    config = load_recipe(MaskingConfig, path, on_renamed=noted.append)
    assert config == MaskingConfig(span_boundaries="character", num_tail_lines=24, vary_tail_lines=True)
    assert len(noted) == 3


@pytest.mark.parametrize(
    "setting",
    [
        {"plain_rate": 1.1},
        {"line_span_rate": -0.1},
        {"mean_spans": 0},
        {"span_kinds": {"lines": 0}},
        {"span_kinds": {"sentences": 1}},
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MaskingConfig.model_validate(setting)


def test_the_sentinel_stands_again_where_a_tail_ends(tiny_tokenizer: Tokenizer) -> None:
    infilling_format = CausalMaskingFormat(tiny_tokenizer)
    config = MaskingConfig(line_span_rate=1.0, num_tail_lines=2, span_boundaries="character")
    masker = Masker(config, infilling_format, tiny_tokenizer)
    token_ids = np.array(tiny_tokenizer.encode("".join(f"x{number} = {number}\n" for number in range(30))))
    num_led = 0
    for seed in range(40):
        masked = masker.mask(token_ids, 2, np.random.default_rng(seed))
        _, spans, _ = infilling_format.parse(masked)
        for number, span in enumerate(spans):
            tail, mark, fill = _around(span, tiny_tokenizer.sentinel_ids[number])
            num_led += mark
            assert not mark or tiny_tokenizer.decode(tail).count("\n") <= 1
            assert tiny_tokenizer.decode(fill).strip()
        assert tiny_tokenizer.decode_bytes(unmask(masked, infilling_format)) == tiny_tokenizer.decode_bytes(
            token_ids.tolist()
        )
    assert num_led > 60


def _around(span: list[int], sentinel_id: int) -> tuple[list[int], bool, list[int]]:
    if sentinel_id not in span:
        return [], False, span
    end = span.index(sentinel_id)
    return span[:end], True, span[end + 1 :]
