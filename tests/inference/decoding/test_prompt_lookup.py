from collections.abc import Callable

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from incoder.inference.decoding.prompt_lookup import PromptLookup
from incoder.inference.engine.cached_sequences import CachedSequences
from incoder.inference.infill_model import InfillModel


def test_what_stood_after_the_same_tokens_is_drafted() -> None:
    assert PromptLookup([1, 2, 3, 4, 5, 6, 9, 1, 2, 3]).draft(2) == [4, 5]


def test_the_latest_place_and_the_longer_match_count() -> None:
    assert PromptLookup([1, 2, 3, 7, 0, 1, 2, 3, 8, 0, 5, 2, 3, 9, 1, 2, 3]).draft(1) == [8]


def test_what_was_never_seen_is_not_drafted() -> None:
    assert PromptLookup([1, 2, 3, 4, 5]).draft(5) == []
    assert PromptLookup([]).draft(5) == []


def test_a_draft_stops_before_a_token_that_cannot_come() -> None:
    assert PromptLookup([1, 2, 3, 4, 5, 1, 2, 3], never={5}).draft(3) == [4]


def test_a_copy_with_a_changed_word_is_expected_to_continue_after_it() -> None:
    lookup = PromptLookup([1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3])
    lookup.observe(len(lookup.draft(1)), 1)
    for token_id in (4, 50, 51, 6):
        lookup.add(token_id)
    assert lookup.draft(2) == [7, 8]


def test_drafts_grow_while_they_are_right_and_pause_while_they_are_wrong() -> None:
    lookup = PromptLookup([1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3])
    lengths = []
    for _ in range(3):
        lengths.append(len(lookup.draft(100)))
        lookup.observe(lengths[-1], lengths[-1])
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]
    pauses = []
    for _ in range(8):
        lookup.observe(3, 0)
        pause = 0
        while not lookup.draft(100) and pause < 200:
            for token_id in (1, 2, 3):
                lookup.add(token_id)
            pause += 1
        pauses.append(pause)
    assert pauses[0] < pauses[-1]


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(0, 9))
def test_a_draft_is_a_piece_of_what_was_seen_and_not_too_long(
    token_ids: list[int], max_num_tokens: int
) -> None:
    draft = PromptLookup(token_ids).draft(max_num_tokens)
    assert len(draft) <= max_num_tokens
    spelled = "".join(map(str, token_ids))
    assert "".join(map(str, draft)) in spelled


REPETITIVE = "def add(first, second):\n    return first + second\n\n\n" * 3


@pytest.mark.parametrize("temperature", [0.0, 0.3, 1.0])
def test_drafts_change_no_result(fast: InfillModel, temperature: float) -> None:
    for parts in ([REPETITIVE + "def add(", "\n" + REPETITIVE], ["x", "\n", "z"], ["", ""]):
        with_drafts, without = (
            fast.infill(parts, temperature=temperature, max_new_tokens=40, seed=2, speculate=speculate)
            for speculate in (True, False)
        )
        assert with_drafts.infills == without.infills
        assert with_drafts.candidates[0].finish_reasons == without.candidates[0].finish_reasons
        assert with_drafts.logprob == pytest.approx(without.logprob, rel=1e-3)


def test_drafts_save_steps_where_the_text_repeats(author: Callable[..., InfillModel]) -> None:
    document = REPETITIVE * 2
    parts = [REPETITIVE + "def", document[len(REPETITIVE) + 3 + 120 :]]
    num_reads = []
    for speculate in (True, False):
        model = author(document)
        result = model.infill(parts, temperature=0, speculate=speculate, path="x.py", stopping_rules=())
        assert result.text == document
        num_reads.append(model.language_model.opened[0].num_reads)  # type: ignore[attr-defined]
    assert num_reads[0] < num_reads[1] / 2


def test_what_is_read_at_once_has_the_logits_of_what_is_read_in_turn(fast: InfillModel) -> None:
    token_ids = list(range(20, 40))
    with torch.inference_mode():
        one, other = (fast.language_model.open(30) for _ in range(2))
        assert isinstance(one, CachedSequences)
        in_turn = torch.cat([one.forward([[token_id]]) for token_id in token_ids])
        torch.testing.assert_close(other.forward([token_ids], all_logits=True), in_turn, rtol=1e-4, atol=1e-4)
