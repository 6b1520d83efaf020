"""The cache against the reference implementation, which reads every row alone from its start, every step."""

from itertools import pairwise

import pytest
import torch

from incoder.inference.infill_model import InfillModel
from incoder.model.transformer import Transformer
from incoder.results import InfillResult
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer

TEXTS = ["import os\n\n\ndef main():\n    ret", "\n\n\nif x is None:\n    pri", "(x)\n", ""]


def fill(
    model: InfillModel, num_candidates: int = 1, temperature: float = 1.0, stop: str = ""
) -> InfillResult:
    return model.infill(
        TEXTS,
        num_candidates=num_candidates,
        temperature=temperature,
        max_new_tokens=12,
        seed=1,
        stop=[stop] if stop else [],
        greedy_first=False,
    )


def assert_same(one: InfillResult, other: InfillResult) -> None:
    assert [candidate.infills for candidate in one.candidates] == [
        candidate.infills for candidate in other.candidates
    ]
    for a, b in zip(one.candidates, other.candidates, strict=True):
        assert a.total_logprob == pytest.approx(b.total_logprob, rel=1e-4)
        assert a.finish_reasons == b.finish_reasons


def test_greedy_with_the_cache_is_greedy_without(fast: InfillModel, slow: InfillModel) -> None:
    assert_same(fill(fast, temperature=0), fill(slow, temperature=0))


def test_candidates_in_a_batch_are_those_read_alone(fast: InfillModel, slow: InfillModel) -> None:
    together = fill(fast, num_candidates=5)
    assert len(together.candidates) == 5
    assert len({len(candidate.infills[0]) for candidate in together.candidates}) > 1
    assert_same(together, fill(slow, num_candidates=5))


def test_one_candidate_is_the_first_of_a_batch(fast: InfillModel) -> None:
    alone = fill(fast).candidates[0]
    several = fill(fast, num_candidates=4).candidates
    assert alone.infills in [candidate.infills for candidate in several]


@pytest.mark.parametrize("num_candidates", [1, 5])
def test_what_follows_a_stop_string_is_forgotten(
    num_candidates: int, fast: InfillModel, slow: InfillModel
) -> None:
    written = fill(fast, num_candidates).candidates[-1].infills[0]
    stop = next(pair for pair in map("".join, pairwise(written[1:])) if "\ufffd" not in pair)
    result = fill(fast, num_candidates, stop=stop)
    assert "stop" in {reason for candidate in result.candidates for reason in candidate.finish_reasons}
    assert_same(result, fill(slow, num_candidates, stop=stop))


def test_several_holes_in_one_call_are_those_prompted_by_hand(
    fast: InfillModel, transformer: Transformer, tiny_tokenizer: Tokenizer
) -> None:
    result = fast.infill(TEXTS, temperature=0, max_new_tokens=12, token_healing=False, stopping_rules=())
    layout = CausalMaskingFormat(tiny_tokenizer)
    token_ids = layout.prompt([tiny_tokenizer.encode(text) for text in TEXTS])
    never = list(layout.never_generated_ids)
    for hole, infill in enumerate(result.infills):
        token_ids += layout.hole_start(hole)
        start = len(token_ids)
        while len(token_ids) < start + 12:
            token_ids_1T = torch.tensor([token_ids], device=transformer.device)
            logits_V = transformer.logits(transformer(token_ids_1T))[0, -1]
            logits_V[never] = -torch.inf
            best = int(logits_V.argmax())
            if best in layout.end_of_infill_ids:
                break
            token_ids.append(best)
        assert tiny_tokenizer.decode(token_ids[start:]).rstrip("\ufffd") == infill.rstrip("\ufffd")
        token_ids.append(tiny_tokenizer.end_of_mask_id)


def test_a_text_is_scored_as_reading_it_says(fast: InfillModel, slow: InfillModel) -> None:
    text = "def main():\n    print(os.getcwd())\n"
    score = fast.score(text)
    assert score.token_logprobs == pytest.approx(slow.score(text).token_logprobs, abs=1e-4)
    assert score.num_tokens == len(fast.tokenizer.encode(text))
    assert score.total_logprob == pytest.approx(sum(score.token_logprobs))
    assert score.mean_logprob == pytest.approx(score.total_logprob / score.num_tokens)
    assert fast.score(text, path="a.py").num_tokens == score.num_tokens
    assert fast.score(text, path="a.py").total_logprob != pytest.approx(score.total_logprob)


def test_a_long_text_is_scored_in_windows(fast: InfillModel, slow: InfillModel) -> None:
    text = "".join(f"x = {number}\nprint(x)\n" for number in range(60))
    score = fast.score(text)
    assert score.num_tokens == len(fast.tokenizer.encode(text)) > 400
    assert score.token_logprobs == pytest.approx(slow.score(text).token_logprobs, abs=1e-4)


def test_the_empty_text_has_no_tokens_to_score(fast: InfillModel) -> None:
    assert (fast.score("").num_tokens, fast.score("").mean_logprob) == (0, 0.0)
