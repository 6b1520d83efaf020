"""The log-probabilities of given tokens, texts and infills: generation coroutines that choose no tokens.

`score_rows` reads the shared prefix of many rows once, `score_long_text` a text in windows, `score_infills`
infills as if the model had written them, and `score_full_texts` filled texts left to right (scored_rows.py
has their rows). Texts have the form that the model reads (line_endings.py).
"""

from collections.abc import Generator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from incoder.inference.language_model import Forward, Generation, LanguageModel
from incoder.inference.prompts.prompter import Prompter
from incoder.inference.scored_rows import (
    Logprobs,
    Rows,
    full_text_rows,
    infill_rows,
    overlapping,
    shared_length,
)
from incoder.results import Score

T = TypeVar("T")

_CHUNK = 512  # positions whose logits are held at once: 100 MB in float32 with 50,000 tokens


def score_rows(
    model: LanguageModel, rows: Sequence[Sequence[int]], num_given: int, *, cache_salt: str = ""
) -> Generation[list[list[float]]]:
    """Score every token of each row after the first `num_given`, which all rows share.

    `num_given` is at least 1, and less than the length of any row. Returns the log-probabilities by row.

    >>> from incoder.inference.language_model import run_alone
    >>> [len(row) for row in run_alone(score_rows(model.language_model, [[5, 6], [5, 7, 8]], num_given=1))]
    [1, 2]
    """
    assert 1 <= num_given < min(map(len, rows))
    num_shared = shared_length(rows)
    sequences = model.open(max(map(len, rows)), cache_salt)
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


def score_long_text(model: LanguageModel, token_ids: Sequence[int]) -> Generation[list[float]]:
    """Score every token but the first; a text longer than the context is read in windows.

    The windows overlap by half, so every token after the first half window has at least half a window before
    it. Each window is one pass without the cache, so this coroutine yields no request; it is a coroutine only
    to take its turn with generation.

    >>> from incoder.inference.language_model import run_alone
    >>> len(run_alone(score_long_text(model.language_model, [5, 6, 7])))
    2
    """
    logprobs: list[float] = []
    for start, end in overlapping(len(token_ids), model.max_positions):
        window_T = model.logprobs(token_ids[start:end])
        logprobs += window_T[len(logprobs) - start :].tolist()
    yield from ()
    return logprobs


def score_infills(
    model: LanguageModel, prompter: Prompter, texts: Sequence[str], infills: Sequence[Sequence[str]]
) -> Generation[list[Score]]:
    """Score the tokens of each of these infills of all holes, the end of every infill included.

    A required prefix counts with its infill, as it does in generation.

    Raises:
        IncoderError: an infill that the model cannot read together with the text around its hole.
    """
    return (yield from scored(model, infill_rows(prompter, texts, infills)))


def score_full_texts(
    model: LanguageModel,
    prompter: Prompter,
    texts: Sequence[str],
    infills: Sequence[Sequence[str]],
    *,
    cache_salt: str = "",
) -> Generation[list[float]]:
    """Score the full text with each of these infills of all holes, without the prefix that all share.

    So the text after a hole counts as if the model had written it after the infill. If a text is
    long, the window around its first hole counts, with the infills of later holes in it.
    """
    rows = full_text_rows(prompter, texts, infills)
    return (yield from scored(model, rows, cache_salt=cache_salt))


def scored(
    model: LanguageModel, rows: Generator[Rows, Logprobs, T], *, cache_salt: str = ""
) -> Generation[T]:
    """Answer the generator's rows with their log-probabilities; return what it returns."""
    try:
        asked = next(rows)
        while True:
            found = yield from score_rows(model, asked.token_ids, asked.num_given, cache_salt=cache_salt)
            asked = rows.send(found)
    except StopIteration as end:
        result: T = end.value
        return result


def _logprobs(logits_TV: Tensor, token_ids: Sequence[int]) -> list[float]:
    token_ids_T = torch.tensor(token_ids, device=logits_TV.device)
    logprobs_T = logits_TV.gather(1, token_ids_T[:, None])[:, 0] - logits_TV.logsumexp(dim=1)
    return list(logprobs_T.tolist())
