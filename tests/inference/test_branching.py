"""Candidates that branch off the greedy infill where another token is most probable."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from incoder.errors import IncoderError
from incoder.inference.candidates import CandidateState
from incoder.inference.decoding.branches import best_beginnings
from incoder.inference.decoding.sequence_state import Decoded
from incoder.inference.engine.worker import EngineWorker
from incoder.inference.infill_model import InfillModel
from incoder.inference.vocabulary import Vocabulary
from incoder.request import InfillRequest
from incoder.results import TextPiece
from incoder.tokenizer.tokenizer import Tokenizer

PARTS = ["x = 1\ny = (", ")\nz = x\n"]
SETTINGS: dict[str, Any] = {
    "num_candidates": 5,
    "branches": True,
    "rank_by": "none",
    "max_new_tokens": 6,
    "token_healing": False,
    "stopping_rules": (),
}


def reference(model: InfillModel, parts: list[str], num_branches: int, max_tokens: int) -> list[list[int]]:
    """The token ids of the greedy infill and of its branches, each token from all tokens before it."""
    logits_after = model.language_model.logits_after  # type: ignore[attr-defined]
    vocabulary = model._vocabulary
    request = InfillRequest.from_settings(parts, token_healing=False)
    prompt = model._infilling(request)._prompt(CandidateState(0))

    def logprobs(token_ids: list[int]) -> dict[int, float]:
        values_V = logits_after([*prompt.token_ids, *token_ids]).log_softmax(-1)
        return {
            one: float(value)
            for one, value in enumerate(values_V)
            if one not in vocabulary.layout.never_generated_ids
        }

    def continued(token_ids: list[int]) -> list[int]:
        while len(token_ids) < max_tokens and token_ids[-1:] != [*vocabulary.end_ids]:
            found = logprobs(token_ids)
            token_ids = [*token_ids, max(found, key=found.__getitem__)]
        return token_ids

    def text_of(token_ids: list[int]) -> bytes:
        return model.tokenizer.decode_bytes([one for one in token_ids if one not in vocabulary.end_ids])

    greedy, branches, total = continued([]), list[tuple[float, list[int]]](), 0.0
    for place, chosen in enumerate(greedy):
        found = logprobs(greedy[:place])
        for other, logprob in found.items():
            beginning = [*greedy[:place], other]
            if other not in vocabulary.end_ids and not text_of(greedy).startswith(text_of(beginning)):
                branches.append((total + logprob, beginning))
        total += found[chosen]
    branches.sort(key=lambda one: -one[0])
    return [greedy, *(continued(beginning) for _, beginning in branches[:num_branches])]


@pytest.mark.parametrize("before", ["x = 1\ny = (", "a", "def f():\n    return "])
def test_the_others_are_the_most_probable_branches_and_go_on_greedily(dice: InfillModel, before: str) -> None:
    parts = [before, ")\n"]
    found = dice.infill(parts, **SETTINGS).candidates
    written = [[token.token_id for token in one.tokens[0]] for one in found]
    assert written == reference(dice, parts, 4, 6)
    assert found[0].infills == dice.infill(parts, **SETTINGS | {"branches": False, "temperature": 0}).infills


def test_branches_with_a_cache_equal_those_without_one(fast: InfillModel, slow: InfillModel) -> None:
    for settings in (
        {},
        {"stopping_rules": ("lines", "rest", "loops", "ends", "tails")},
        {"speculate": False},
    ):
        one, other = (model.infill(PARTS, **SETTINGS | settings).candidates for model in (fast, slow))
        assert [candidate.infills for candidate in one] == [candidate.infills for candidate in other]
        assert len(one) == 5


def test_log_probabilities_of_branches_are_those_of_their_texts(dice: InfillModel) -> None:
    """They count the tokens before the branch too, as a score of the finished infill does."""
    for one in dice.infill(PARTS, **SETTINGS).candidates:
        assert one.total_logprob == pytest.approx(sum(token.logprob or 0 for token in one.tokens[0]))
        if one.finish_reasons == ("end",):
            (score,) = dice.score_infills(PARTS, [one.infills], token_healing=False)
            if score.num_tokens == len(one.tokens[0]):  # it may be spelled by other tokens
                assert score.total_logprob == pytest.approx(one.total_logprob, abs=1e-4)


def test_the_same_request_has_the_same_branches_whatever_its_seed(dice: InfillModel) -> None:
    first, second = (dice.infill(PARTS, seed=seed, **SETTINGS).candidates for seed in (0, 7))
    assert first == second


def test_branches_are_streamed_whole(dice: InfillModel) -> None:
    texts = [""] * 5

    def keep(piece: TextPiece) -> None:
        texts[piece.candidate] += piece.text

    found = dice.infill(PARTS, on_text=keep, **SETTINGS).candidates
    assert texts == [one.infills[0] for one in found]


def test_a_branch_keeps_what_is_required_and_permitted(dice: InfillModel) -> None:
    """The prefix ends inside a word, so each infill goes on from it; some tokens may not come first."""
    found = dice.infill(["x = np.ar", "\n"], **SETTINGS | {"token_healing": True}).candidates
    assert len(found) > 1
    for one in found:
        assert "".join(token.data.decode("latin-1") for token in one.tokens[0]).startswith("ar")
    allowed = [dice.tokenizer.encode(letter)[0] for letter in "abc"]
    few = dice.infill(PARTS, allowed_first_ids=allowed, **SETTINGS).candidates
    assert {one.tokens[0][0].token_id for one in few} <= set(allowed)


def test_a_bias_moves_branches_and_not_their_log_probabilities(dice: InfillModel) -> None:
    """A biased token comes first, and its log-probability is still the model's own."""
    (biased,) = dice.tokenizer.encode("b")
    found = dice.infill(PARTS, logit_bias={biased: 50.0}, **SETTINGS | {"max_new_tokens": 2}).candidates
    tokens = [token for one in found for token in one.tokens[0] if token.logprob is not None]
    assert biased in [token.token_id for token in tokens]
    assert all(token.logprob <= 0 for token in tokens if token.logprob is not None)
    first = next(one for one in found if one.tokens[0][0].token_id == biased)
    prompt = [token.token_id for token in dice.infill(PARTS, echo=True, **SETTINGS).prompt.tokens]  # type: ignore[union-attr]
    logprobs_V = dice.language_model.logits_after(prompt).log_softmax(-1)  # type: ignore[attr-defined]
    assert first.tokens[0][0].logprob == pytest.approx(float(logprobs_V[biased]), abs=1e-4)


def test_an_end_as_the_second_token_does_not_hide_the_third(
    reading_again: Callable[[Callable[[list[int]], Tensor], int], InfillModel], tiny_tokenizer: Tokenizer
) -> None:
    """Of two candidates, the other one begins with the most probable token that may begin a branch."""
    a, b = (tiny_tokenizer.encode(letter)[0] for letter in "ab")
    logits_V = torch.full((tiny_tokenizer.vocab_size,), -10.0)
    logits_V[[a, tiny_tokenizer.end_of_mask_id, b]] = torch.tensor([3.0, 2.0, 1.0])
    model = reading_again(lambda _: logits_V, 256)
    settings = SETTINGS | {"num_candidates": 2, "max_new_tokens": 2}
    assert [one.infills[0] for one in model.infill(PARTS, **settings).candidates] == ["aa", "ba"]


def test_branches_of_an_infill_by_stricter_rules_keep_to_them(
    reading_again: Callable[[Callable[[list[int]], Tensor], int], InfillModel], tiny_tokenizer: Tokenizer
) -> None:
    """A line is missing that opens a block, and the model never ends: only the rules end what it writes."""

    def logits_after(token_ids: list[int]) -> Tensor:
        logits_V = torch.full((tiny_tokenizer.vocab_size,), -20.0)
        last = max(place for place, one in enumerate(token_ids) if one in tiny_tokenizer.sentinel_ids)
        so_far = token_ids[last + 1 :]
        for logit, line in enumerate(["for x in x:\nx", "if x:\nx", "x = 1\nx"]):
            ids = tiny_tokenizer.encode(line)
            if so_far[: len(ids)] == ids[: len(so_far)]:
                logits_V[ids[min(len(so_far), len(ids) - 1)]] = logit
        return logits_V

    model = reading_again(logits_after, 256)
    settings = SETTINGS | {"num_candidates": 2, "max_new_tokens": 12, "stopping_rules": ("openers",)}
    found = model.infill(["", "    y = 2\n"], path="a.py", **settings).candidates
    assert [one.infills[0] for one in found] == ["if x:\n", "for x in x:\n"]


def test_progress_counts_the_branches_that_there_are(dice: InfillModel) -> None:
    seen: list[tuple[int, int]] = []
    dice.infill(PARTS, on_infill=lambda done, total: seen.append((done, total)), **SETTINGS)
    assert seen == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    seen.clear()
    dice.infill(PARTS, time_limit=1e-9, on_infill=lambda done, total: seen.append((done, total)), **SETTINGS)
    assert seen == [(1, 1)]


def test_a_completion_branches_too(fast: InfillModel) -> None:
    settings = SETTINGS | {"max_new_tokens": 4}
    found = fast.complete("def f(", **settings).candidates
    assert len({tuple(token.token_id for token in one.tokens[0]) for one in found}) == 5
    assert found[0] == fast.complete("def f(", temperature=0, **settings | {"branches": False}).candidates[0]


def test_requests_in_the_engine_at_once_have_the_branches_that_they_have_alone(fast: InfillModel) -> None:
    texts = [PARTS, ["def f(", "):\n    return 1\n"], ["a = ", "\n"]]
    alone = [fast.infill(parts, **SETTINGS).candidates for parts in texts]
    with EngineWorker(fast.language_model) as worker:
        model = fast.with_run(worker.run)
        with ThreadPoolExecutor(3) as pool:
            together = list(pool.map(lambda parts: model.infill(parts, **SETTINGS).candidates, texts))
    assert [[one.infills for one in found] for found in together] == [
        [one.infills for one in found] for found in alone
    ]


def test_branches_and_a_beam_search_exclude_each_other(dice: InfillModel) -> None:
    with pytest.raises(IncoderError, match="branches are for one beam, got num_beams=5"):
        dice.infill(PARTS, num_beams=5, **SETTINGS)


def test_several_holes_at_temperature_0_have_one_candidate(dice: InfillModel) -> None:
    assert len(dice.infill(["a", "b", "c"], temperature=0, **SETTINGS).candidates) == 1


def test_with_several_holes_the_others_are_drawn(dice: InfillModel) -> None:
    settings = SETTINGS | {"greedy_first": True, "temperature": 2.0}
    several = dice.infill(["a", "b", "c"], **settings)
    assert several == dice.infill(["a", "b", "c"], **settings | {"branches": False})


def test_one_candidate_has_no_branches(dice: InfillModel) -> None:
    one = dice.infill(PARTS, **SETTINGS | {"num_candidates": 1}).candidates
    assert [candidate.infills for candidate in one] == [dice.infill(PARTS, **SETTINGS).candidates[0].infills]


def test_no_branch_begins_when_the_time_is_up(dice: InfillModel) -> None:
    found = dice.infill(PARTS, time_limit=1e-9, **SETTINGS).candidates
    assert [one.finish_reasons for one in found] == [("time",)]


def decoded_of(tokenizer: Tokenizer, *words: str, others: list[dict[str, float]], **changes: Any) -> Decoded:
    """A greedy infill of single tokens, each with a probability of one half."""
    ids = [tokenizer.encode(word)[0] for word in words]
    assert [tokenizer.token_bytes(one).decode() for one in ids] == list(words)
    rankings = [
        tuple((tokenizer.encode(word)[0], math.log(value)) for word, value in one.items()) for one in others
    ]
    half = math.log(0.5)
    settings: dict[str, Any] = {
        "spelling": "".join(words).encode(),
        "logprobs": (half,) * len(ids),
        "finish_reason": "length",
        "read": tuple(ids[:-1]),
        "token_ids": tuple(ids),
        "rankings": ((),) * len(ids),
        "permitted": tuple(rankings),
    }
    return Decoded(**settings | changes)


def test_the_most_probable_beginnings_come_first(tiny_tokenizer: Tokenizer) -> None:
    others = [{"a": 0.5, "x": 0.1}, {"b": 0.5, "y": 0.4}, {"c": 0.5, "z": 0.48}]
    decoded = decoded_of(tiny_tokenizer, "a", "b", "c", others=others)
    found = best_beginnings(decoded, 4, Vocabulary(tiny_tokenizer))
    texts = [tiny_tokenizer.decode(list(one.token_ids)) for one in found]
    assert texts == ["ay", "abz", "x"]  # 0.5 * 0.4, 0.5 * 0.5 * 0.48, 0.1
    assert math.exp(sum(found[1].logprobs)) == pytest.approx(0.12)
    assert [one.num_read for one in found] == [1, 2, 0]


def test_nothing_branches_off_after_the_end_of_an_infill(tiny_tokenizer: Tokenizer) -> None:
    """A stop string cut it before its second token: what could have come in place of the third is cut off."""
    others = [{"a": 0.5, "x": 0.1}, {"b": 0.5, "y": 0.4}, {"c": 0.5, "z": 0.48}]
    first = tuple(tiny_tokenizer.encode("a"))
    decoded = decoded_of(
        tiny_tokenizer, "a", "b", "c", others=others, spelling=b"a", finish_reason="stop", read=first
    )
    found = best_beginnings(decoded, 4, Vocabulary(tiny_tokenizer))
    assert [tiny_tokenizer.decode(list(one.token_ids)) for one in found] == ["ay", "x"]


def test_an_end_is_no_branch(tiny_tokenizer: Tokenizer) -> None:
    decoded = decoded_of(tiny_tokenizer, "a", others=[{"x": 0.1}])
    (end_id,) = Vocabulary(tiny_tokenizer).end_ids
    with_end = replace(decoded, permitted=(((end_id, -0.1), *decoded.permitted[0]),))
    found = best_beginnings(with_end, 4, Vocabulary(tiny_tokenizer))
    assert [tiny_tokenizer.decode(list(one.token_ids)) for one in found] == ["x"]
