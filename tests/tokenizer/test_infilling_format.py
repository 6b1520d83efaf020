import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.errors import IncoderError
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer

# The 640 ids of tiny_tokenizer: 383–638 are the sentinels, 639 is the end-of-mask.
M0, M1, M2, M255, EOM = 383, 384, 385, 638, 639

pieces = st.lists(st.sampled_from([2, 5, 77, 382]), max_size=4)
documents = st.integers(0, 6).flatmap(
    lambda num_spans: st.tuples(
        st.lists(pieces, min_size=num_spans + 1, max_size=num_spans + 1),
        st.lists(pieces, min_size=num_spans, max_size=num_spans),
    )
)


@pytest.fixture(scope="module")
def masking(tiny_tokenizer: Tokenizer) -> CausalMaskingFormat:
    return CausalMaskingFormat(tiny_tokenizer)


def test_a_masked_document_is_laid_out_as_in_the_paper(masking: CausalMaskingFormat) -> None:
    kept, spans = [[2, 10], [11], [12]], [[20, 21], [22]]
    assert masking.write(kept, spans, continues=False) == [
        *[2, 10, M0, 11, M1, 12],
        *[M0, 20, 21, EOM, M1, 22, EOM],
    ]
    assert masking.write(kept, spans, continues=True) == [
        *[2, 10, M0, 11, M1, 12, M2],
        *[M0, 20, 21, EOM, M1, 22, EOM],
    ]


def test_a_document_without_spans_is_itself(masking: CausalMaskingFormat) -> None:
    assert masking.write([[2, 10]], [], continues=True) == [2, 10]
    assert masking.parse([2, 10]) == ([[2, 10]], [], False)


@given(document=documents, continues=st.booleans())
def test_parse_gives_back_what_was_written(
    masking: CausalMaskingFormat, document: tuple[list[list[int]], list[list[int]]], continues: bool
) -> None:
    kept, spans = document
    token_ids = masking.write(kept, spans, continues=continues)
    assert masking.parse(token_ids) == (kept, spans, continues and bool(spans))
    num_tokens = sum(map(len, kept)) + sum(map(len, spans))
    assert len(token_ids) == num_tokens + 3 * len(spans) + (continues and bool(spans))


@given(token_ids=st.lists(st.sampled_from([5, M0, M1, M2, EOM]), max_size=12))
def test_what_parse_accepts_is_what_write_writes(masking: CausalMaskingFormat, token_ids: list[int]) -> None:
    try:
        kept, spans, continues = masking.parse(token_ids)
    except IncoderError:
        return
    assert masking.write(kept, spans, continues=continues) == token_ids


@pytest.mark.parametrize(
    ("token_ids", "message"),
    [
        ([5, M0, 6, M0, 7], "sentinels"),  # the end was cut off
        ([5, M0, 6], "sentinels"),  # a prompt
        ([5, EOM], "sentinels"),
        ([5, M1, 6, M1, 7, EOM], "sentinels"),
        ([5, M1, M0, M0, EOM, M1, EOM], "sentinels"),
        ([5, M0, 6, M0, 7, EOM, 8], "after the end-of-mask"),
        ([5, M0, 6, M1, 7, M0, 8, EOM], "between the extra sentinel and the first span"),
        ([5, M0, 6, M1, 7, M0, 8, EOM, 9, M1, EOM], "after the end-of-mask"),
    ],
)
def test_what_is_no_masked_document_is_refused(
    masking: CausalMaskingFormat, token_ids: list[int], message: str
) -> None:
    with pytest.raises(IncoderError, match=message):
        masking.parse(token_ids)


def test_256_spans_fit_and_the_last_sentinel_cannot_be_extra(masking: CausalMaskingFormat) -> None:
    kept, spans = [[5]] * 257, [[6]] * 256
    assert masking.parse(masking.write(kept, spans, continues=False)) == (kept, spans, False)
    with pytest.raises(IncoderError, match="at most 255 spans can be cut out of a text, got 256"):
        masking.write(kept, spans, continues=True)


def test_prompt_ends_with_the_extra_sentinel(masking: CausalMaskingFormat) -> None:
    assert masking.prompt([[10], [11]]) == [2, 10, M0, 11, M1]
    assert masking.prompt([[10], [], [12]]) == [2, 10, M0, M1, 12, M2]
    assert masking.prompt([[10]]) == [2, 10]


def test_a_prompt_cut_out_of_a_long_document_has_no_document_start(masking: CausalMaskingFormat) -> None:
    assert masking.prompt([[10], [11]], is_start=False) == [10, M0, 11, M1]


def test_prompt_holds_255_holes(masking: CausalMaskingFormat) -> None:
    assert masking.prompt([[5]] * 256)[-1] == M255
    with pytest.raises(IncoderError, match="at most 255 holes can be filled at once, got 256"):
        masking.prompt([[5]] * 257)


def test_prompt_and_fills_are_a_document_that_goes_on(masking: CausalMaskingFormat) -> None:
    parts, fills = [[10], [11], [12]], [[20], [21, 22]]
    token_ids = masking.prompt(parts)
    for hole, fill in enumerate(fills):
        token_ids += [*masking.hole_start(hole), *fill, EOM]
    assert masking.parse(token_ids) == ([[2, 10], [11], [12]], fills, True)


def test_sentinels_are_not_trained_and_the_end_of_mask_is(masking: CausalMaskingFormat) -> None:
    token_ids = np.array(masking.write([[2, 5], [6]], [[7]], continues=True))  # 2 5 M0 6 M1 M0 7 EOM
    assert masking.ignored_in_loss(token_ids).tolist() == [
        False,
        False,
        True,
        False,
        True,
        True,
        False,
        False,
    ]


def test_a_fill_ends_at_the_end_of_mask_and_holds_no_special_token(
    masking: CausalMaskingFormat, tiny_tokenizer: Tokenizer
) -> None:
    special = {i for i in range(tiny_tokenizer.vocab_size) if tiny_tokenizer.special_token(i) is not None}
    assert masking.end_of_infill_ids == {EOM}
    assert masking.never_generated_ids == special - {EOM}
