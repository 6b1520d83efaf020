"""Which server gets a prompt: the one that had its beginning, unless it is busy or has failed."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass

from incoder.inference.upstream.pool import Pool


@dataclass(frozen=True)
class Named:
    url: str


NAMES = [Named(f"http://host{number}/v1") for number in range(4)]


def prompt(number: int) -> list[int]:
    return [number, *range(100)]


def test_prompts_that_begin_alike_go_to_one_server() -> None:
    pool = Pool(NAMES)
    for number in range(50):
        assert pool.order(prompt(number)) == pool.order([*prompt(number)[:64], 7, 8, 9])


def test_typing_at_the_end_of_a_short_prompt_does_not_move_it() -> None:
    pool = Pool(NAMES)
    assert pool.order(list(range(33))) == pool.order(list(range(47)))


def test_prompts_are_spread_evenly() -> None:
    pool = Pool(NAMES)
    counts = Counter(pool.order(prompt(number))[0] for number in range(1000))
    assert min(counts.values()) > 180


def test_a_server_that_leaves_moves_only_its_own_prompts() -> None:
    before, after = Pool(NAMES), Pool(NAMES[:3])
    for number in range(200):
        first = before.order(prompt(number))[0]
        if first != NAMES[3]:
            assert after.order(prompt(number))[0] == first


def test_a_busy_server_is_passed_over() -> None:
    pool = Pool(NAMES)
    first, second = pool.order(prompt(0))[:2]
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(pool.use(first))
        assert pool.order(prompt(0))[0] == second
        assert first in pool.order(prompt(0))
    assert pool.order(prompt(0))[0] == first


def test_a_failed_server_comes_last_until_its_pause_ends() -> None:
    now = 100.0
    pool = Pool(NAMES, clock=lambda: now)
    first = pool.order(prompt(0))[0]
    pool.failed(first)
    assert pool.order(prompt(0))[-1] == first
    assert not pool.is_up(first)
    now += 1.0
    assert pool.order(prompt(0))[0] == first
    pool.failed(first)
    now += 1.0  # the second pause is longer
    assert pool.order(prompt(0))[-1] == first
    pool.answered(first)
    assert pool.order(prompt(0))[0] == first


def test_if_all_have_failed_the_one_that_may_recover_first_is_tried() -> None:
    now = 100.0
    pool = Pool(NAMES, clock=lambda: now)
    for one in NAMES:
        pool.failed(one)
        now += 0.1
    assert pool.order(prompt(0)) == NAMES
