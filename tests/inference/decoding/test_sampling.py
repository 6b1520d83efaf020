from dataclasses import dataclass, field

import pytest
import torch

from incoder.inference.decoding.sampling import adjusted, choose, next_token_probabilities
from incoder.sampling_params import SamplingParams

LOGITS_1V = torch.log(torch.tensor([[0.1, 0.4, 0.2, 0.3]], dtype=torch.float64))


def rng(seed: int, row: int) -> torch.Generator:
    return torch.Generator().manual_seed(100 * seed + row)


def probabilities(temperature: float = 1.0, top_p: float = 1.0, top_k: int | None = None) -> list[float]:
    params = SamplingParams(temperature=temperature, top_p=top_p, top_k=top_k)
    probabilities_1V = next_token_probabilities(LOGITS_1V, params)
    return [round(value, 6) for value in probabilities_1V[0].tolist()]


def test_temperature_one_samples_from_the_model_itself() -> None:
    assert probabilities() == [0.1, 0.4, 0.2, 0.3]


def test_low_temperature_sharpens() -> None:
    squares = [0.01, 0.16, 0.04, 0.09]
    assert probabilities(temperature=0.5) == [round(square / 0.3, 6) for square in squares]


def test_the_lowest_temperature_is_greedy() -> None:
    assert probabilities(temperature=0) == [0, 1, 0, 0]
    assert probabilities(temperature=1e-300) == [0, 1, 0, 0]


def test_top_k_keeps_the_k_most_probable() -> None:
    assert probabilities(top_k=2) == [0, round(4 / 7, 6), 0, round(3 / 7, 6)]
    assert probabilities(top_k=9) == probabilities()


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(0.3, [1]), (0.39, [1]), (0.41, [1, 3]), (0.69, [1, 3]), (0.71, [1, 2, 3]), (1.0, [0, 1, 2, 3])],
)
def test_top_p_keeps_the_smallest_set_that_reaches_it(top_p: float, kept: list[int]) -> None:
    assert [i for i, value in enumerate(probabilities(top_p=top_p)) if value > 0] == kept


def test_top_k_comes_before_top_p() -> None:
    # Of the two that top-k keeps the first has 4/7 of the mass, so it alone reaches a half.
    assert probabilities(top_k=2, top_p=0.5) == [0, 1, 0, 0]


def test_equal_logits_are_not_lost() -> None:
    probabilities_1V = next_token_probabilities(torch.zeros(1, 4), SamplingParams(temperature=1.0, top_p=0.5))
    assert sorted(probabilities_1V[0].tolist()) == [0, 0, 0.5, 0.5]


def test_a_nucleus_larger_than_what_is_sorted_first_is_kept() -> None:
    """Of 1,000 equal tokens, 500 reach a half; 128 are looked at first."""
    probabilities_1V = next_token_probabilities(
        torch.zeros(1, 1000, dtype=torch.float64), SamplingParams(temperature=1.0, top_p=0.4995)
    )
    assert int((probabilities_1V > 0).sum()) == 500
    assert probabilities_1V.max().item() == pytest.approx(1 / 500)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_is_kept_as_if_it_were_alone(dtype: torch.dtype) -> None:
    """A flat row makes all rows be sorted whole; that must not change what the others keep, nor its order.

    Rounded to bfloat16, many tokens are equally probable.
    """
    stream = torch.Generator().manual_seed(0)
    logits_BV = torch.stack((torch.zeros(5000), 4 * torch.randn(5000, generator=stream))).to(dtype).float()
    params = SamplingParams(temperature=1.0, top_p=0.85)
    together_BV = next_token_probabilities(logits_BV, params)
    assert torch.equal(together_BV[1:], next_token_probabilities(logits_BV[1:], params))
    for seed in range(200):
        streams = [rng(seed, row) for row in range(2)]
        alone = choose(logits_BV[1:], params, [rng(seed, 1)])
        assert int(choose(logits_BV, params, streams)[1]) == int(alone[0])


def test_choices_follow_the_probabilities() -> None:
    params = SamplingParams(temperature=1.0, top_p=1.0)
    stream = rng(0, 0)
    counts = torch.bincount(torch.cat([choose(LOGITS_1V, params, [stream]) for _ in range(4000)]))
    assert counts / 4000 == pytest.approx([0.1, 0.4, 0.2, 0.3], abs=0.03)


def test_a_forbidden_token_is_never_chosen() -> None:
    logits_1V = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]])
    params = SamplingParams(temperature=5.0, top_p=1.0)
    stream = rng(0, 0)
    assert {int(choose(logits_1V, params, [stream])) for _ in range(200)} == {1, 3}


@pytest.mark.parametrize("top_p", [0.95, 1.0])
def test_a_row_draws_from_its_own_stream(device: torch.device, top_p: float) -> None:
    params = SamplingParams(temperature=1.0, top_p=top_p)
    for seed in range(20):
        alone = choose(LOGITS_1V, params, [rng(seed, 2)])
        streams = [rng(seed, row) for row in range(3)]
        together = choose(LOGITS_1V.expand(3, -1).to(device), params, streams)
        assert int(together[2]) == int(alone[0])


def test_a_row_without_numbers_takes_the_greatest_logit() -> None:
    params = SamplingParams(temperature=5.0, top_p=0.9)
    rows = LOGITS_1V.expand(2, -1)
    drawn = [choose(rows, params, [None, rng(seed, 0)]).tolist() for seed in range(40)]
    assert {greedy for greedy, _ in drawn} == {int(LOGITS_1V.argmax())}
    alone = [choose(LOGITS_1V, params, [rng(seed, 0)]).tolist() for seed in range(40)]
    assert [[other] for _, other in drawn] == alone


@pytest.mark.parametrize(
    ("min_p", "kept"), [(0.2, [0, 1, 2, 3]), (0.26, [1, 2, 3]), (0.6, [1, 3]), (1.0, [1])]
)
def test_min_p_keeps_what_is_not_much_less_probable_than_the_best(min_p: float, kept: list[int]) -> None:
    params = SamplingParams(temperature=1.0, top_p=1.0, min_p=min_p)
    probabilities_V = next_token_probabilities(LOGITS_1V, params)[0].tolist()
    assert [i for i, value in enumerate(probabilities_V) if value > 0] == kept


@dataclass(frozen=True)
class Written:
    """A sequence that has read or written the tokens `seen`, and written some of them so often."""

    seen: set[int] = field(default_factory=set)
    counts: dict[int, int] = field(default_factory=dict)


def test_a_bias_is_added_to_logits() -> None:
    logits_1V = torch.tensor([[1.0, 2.0, 3.0]])
    assert adjusted(logits_1V, SamplingParams(logit_bias={1: 5.0}), [Written()]).tolist() == [[1.0, 7.0, 3.0]]
    assert logits_1V.tolist() == [[1.0, 2.0, 3.0]]


def test_the_repetition_penalty_is_that_of_transformers(device: torch.device) -> None:
    from transformers import RepetitionPenaltyLogitsProcessor

    logits_BV = torch.randn(2, 9, generator=torch.Generator().manual_seed(0)).to(device)
    seen = [[1, 4, 4, 7], [0, 2, 2, 2]]
    token_ids_BT = torch.tensor(seen, device=device)
    expected_BV = RepetitionPenaltyLogitsProcessor(1.7)(token_ids_BT, logits_BV.clone())
    ours_BV = adjusted(logits_BV, SamplingParams(repetition_penalty=1.7), [Written(set(row)) for row in seen])
    torch.testing.assert_close(ours_BV, expected_BV)
