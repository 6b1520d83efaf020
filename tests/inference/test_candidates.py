"""The seeds of candidates."""

from itertools import product

import pytest

from incoder.inference.candidates import candidate_seed


def test_seed_candidate_and_prompt_decide() -> None:
    prompts = [[5, 6], [5, 7], [56], [5, 6, 0]]
    seeds = {candidate_seed(*one) for one in product((0, 1, 2**63 - 1), range(4), prompts)}
    assert len(seeds) == 3 * 4 * len(prompts)


@pytest.mark.parametrize("index", range(3))
def test_a_seed_has_32_bits_and_stays_the_same(index: int) -> None:
    """PyTorch's generator on a CPU ignores higher bits."""
    seeds = [candidate_seed(7, index, (1, 2)) for _ in range(2)]
    assert seeds[0] == seeds[1]
    assert 0 <= seeds[0] < 2**32
