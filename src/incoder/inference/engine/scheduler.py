"""The token budget of a step: how many tokens each sequence computes. Numbers in, numbers out.

Sequences with few tokens left come first: they decode while a user watches. Prefills share the rest of the
budget in order of arrival (chunked prefill), so that a long prompt neither delays the others nor waits for
them to end.
"""

from collections.abc import Sequence

FEW_TOKENS = 8  # a decoded token and its drafts


def schedule(num_left: Sequence[int], num_tokens: int) -> list[int]:
    """Divide a budget of `num_tokens` among sequences with `num_left` tokens to compute, the oldest first.

    The budget is used up as long as there are tokens to compute. The oldest prefill gets at least half of
    what it could use, however many sequences decode.

    >>> schedule([1000, 1, 1, 5], num_tokens=100)
    [93, 1, 1, 5]
    """
    assert num_tokens > 0
    shares = [0] * len(num_left)
    prefills = [index for index, left in enumerate(num_left) if left > FEW_TOKENS]
    reserved = min(num_left[prefills[0]], -(-num_tokens // 2)) if prefills else 0
    budget = num_tokens - reserved
    for index, left in enumerate(num_left):
        if left <= FEW_TOKENS:
            shares[index] = min(left, budget)
            budget -= shares[index]
    budget += reserved
    for index in prefills:
        shares[index] = min(num_left[index], budget)
        budget -= shares[index]
    return shares
