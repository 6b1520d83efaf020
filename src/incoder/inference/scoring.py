"""How probable a model finds the tokens of many rows that begin alike: what they share is read once.

A generation coroutine (language_model.py) on token ids. Knows no texts.
"""

from collections.abc import Sequence
from itertools import takewhile

import torch
from torch import Tensor

from incoder.inference.language_model import Forward, Generation, LanguageModel

_CHUNK = 512  # positions whose logits are held at once: 100 MB in float32 with 50,000 tokens


def scoring(
    model: LanguageModel, rows: Sequence[Sequence[int]], num_given: int
) -> Generation[list[list[float]]]:
    """The log-probability of every token of each row but the first `num_given`, which are the same in all.

    `num_given` is at least 1, and less than the length of any row.
    """
    assert 1 <= num_given < min(map(len, rows))
    num_shared = shared_length(rows)
    sequences = model.open(max(map(len, rows)))
    try:
        shared: list[float] = []
        logits_BV = yield Forward(sequences, [rows[0][:num_given]])
        for start in range(num_given, num_shared, _CHUNK):
            piece = rows[0][start : min(start + _CHUNK, num_shared)]
            logits_TV = yield Forward(sequences, [piece], all_logits=True)
            shared += _logprobs(torch.cat([logits_BV, logits_TV[:-1]]), piece)
            logits_BV = logits_TV[-1:]
        sequences.select([0] * len(rows))
        rests = [row[num_shared:] for row in rows]
        firsts = _logprobs(logits_BV.expand(len(rows), -1), [rest[0] for rest in rests])
        logprobs = [[*shared, first] for first in firsts]
        num_each = max(1, _CHUNK // len(rows))
        for start in range(0, max(map(len, rests)) - 1, num_each):
            pieces = [rest[start : min(start + num_each, len(rest) - 1)] for rest in rests]
            logits_TV = yield Forward(sequences, pieces, all_logits=True)
            targets = [rest[start + 1 : start + 1 + num_each] for rest in rests]
            found = iter(_logprobs(logits_TV, [token_id for target in targets for token_id in target]))
            for row, target in zip(logprobs, targets, strict=True):
                row += [next(found) for _ in target]
    finally:
        sequences.close()
    return logprobs


def shared_length(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens all rows begin with, one less where that is all of a row."""
    columns = zip(*rows, strict=False)
    same = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
    return min(same, min(map(len, rows)) - 1)


def _logprobs(logits_TV: Tensor, token_ids: Sequence[int]) -> list[float]:
    wanted_T = torch.tensor(token_ids, device=logits_TV.device)
    logprobs_T = logits_TV.gather(1, wanted_T[:, None])[:, 0] - logits_TV.logsumexp(dim=1)
    return list(logprobs_T.tolist())
