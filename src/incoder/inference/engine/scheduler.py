"""Who reads how much in the next step: numbers in, numbers out.

Those with few tokens left are asked first: they are writing, one token after the other, and someone watches.
What remains of the step goes to the long readings, first come first served, so that a long prompt neither
holds up the others nor waits for them to end.
"""

from collections.abc import Sequence

FEW_TOKENS = 8  # a token and what was guessed after it


def share_out(num_left: Sequence[int], num_tokens: int) -> list[int]:
    """How many tokens each reading gets of a step with room for `num_tokens`, the oldest reading first.

    Whatever the numbers: the step is used as far as there is something to read, and the oldest long reading
    gets at least half of what it could have, even if very many are writing.
    """
    assert num_tokens > 0
    shares = [0] * len(num_left)
    long = [index for index, left in enumerate(num_left) if left > FEW_TOKENS]
    kept = min(num_left[long[0]], -(-num_tokens // 2)) if long else 0
    room = num_tokens - kept
    for index, left in enumerate(num_left):
        if left <= FEW_TOKENS:
            shares[index] = min(left, room)
            room -= shares[index]
    room += kept
    for index in long:
        shares[index] = min(num_left[index], room)
        room -= shares[index]
    return shares
