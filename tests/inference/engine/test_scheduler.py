import hypothesis.strategies as st
from hypothesis import given

from incoder.inference.engine.scheduler import FEW_TOKENS, schedule

LEFT = st.lists(st.integers(0, 3 * FEW_TOKENS), max_size=12)


@given(LEFT, st.integers(1, 40))
def test_a_step_is_used_as_far_as_there_is_something_to_read(num_left: list[int], num_tokens: int) -> None:
    shares = schedule(num_left, num_tokens)
    assert sum(shares) == min(num_tokens, sum(num_left))
    assert all(0 <= share <= left for share, left in zip(shares, num_left, strict=True))


@given(LEFT, st.integers(1, 40))
def test_every_reading_ends(num_left: list[int], num_tokens: int) -> None:
    for _ in range(sum(num_left) + 1):
        shares = schedule(num_left, num_tokens)
        num_left = [left - share for left, share in zip(num_left, shares, strict=True)]
    assert not any(num_left)


def test_who_writes_goes_before_who_reads_a_prompt() -> None:
    assert schedule([1000, 1, 1, 5], 100) == [93, 1, 1, 5]


def test_a_prompt_is_read_even_if_very_many_write() -> None:
    assert schedule([1000] + [1] * 200, 100)[0] == 50


def test_prompts_are_read_in_the_order_in_which_they_came() -> None:
    assert schedule([60, 300, 300], 100) == [60, 40, 0]
