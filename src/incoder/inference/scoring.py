"""The log-probabilities of given tokens, texts and infills: generation coroutines that choose no tokens.

`score_rows` reads the shared prefix of many rows once, `score_long_text` a text in windows, `score_infills`
infills as if the model had written them, and `score_full_texts` filled texts left to right. Texts have the
form that the model reads (line_endings.py).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import takewhile

import torch
from torch import Tensor

from incoder.errors import IncoderError
from incoder.inference.language_model import Forward, Generation, LanguageModel
from incoder.inference.prompts.prompter import Prompt, Prompter

_CHUNK = 512  # positions whose logits are held at once: 100 MB in float32 with 50,000 tokens


_Pieces = list[tuple[list[int], bool]]  # tokens, and whether they belong to an infill


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
    for start, end in _overlapping(len(token_ids), model.max_positions):
        window_T = model.logprobs(token_ids[start:end])
        logprobs += window_T[len(logprobs) - start :].tolist()
    yield from ()
    return logprobs


def score_infills(
    model: LanguageModel, prompter: Prompter, texts: Sequence[str], infills: Sequence[Sequence[str]]
) -> Generation[list[list[float]]]:
    """Score the tokens of each of these infills of all holes, the end of every infill included.

    A required prefix counts with its infill, as it does in generation.

    Raises:
        IncoderError: an infill that the model cannot read together with the text around its hole.
    """
    logprobs: list[list[float]] = [[] for _ in infills]
    waiting = [(0, list(range(len(infills))))]
    while waiting:
        num_filled, group = waiting.pop()
        prompt = prompter.prompt(texts, infills[group[0]][:num_filled])
        budget = model.max_positions - len(prompt.token_ids)
        spelled = [_spelled(prompter, prompt, infills[index][num_filled:]) for index in group]
        num_holes = min(_num_that_fit(row, budget) for row in spelled)
        if not num_holes:
            raise IncoderError(
                f"an infill is too long to be scored: the model reads {model.max_positions} tokens, of which "
                f"the text around the hole leaves {budget}; give a shorter infill"
            )
        kept = [row[: 2 * num_holes - 1] for row in spelled]
        rows = [[*prompt.token_ids, *(i for token_ids, _ in row for i in token_ids)] for row in kept]
        found = yield from score_rows(model, rows, len(prompt.token_ids))
        for index, row, values in zip(group, kept, found, strict=True):
            is_infill = [mark for token_ids, mark in row for _ in token_ids]
            logprobs[index] += [value for value, mark in zip(values, is_infill, strict=True) if mark]
        num_filled += num_holes
        if num_filled < len(texts) - 1:
            alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
            for index in group:
                alike[tuple(infills[index][:num_filled])].append(index)
            waiting += [(num_filled, same) for same in alike.values()]
    return logprobs


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
    rows = prompter.full_texts(texts, infills)
    different = list(dict.fromkeys(map(tuple, rows)))
    if len(different) == 1 or min(map(len, different)) < 2:  # nothing to compare, or a text without a token
        return [0.0] * len(rows)
    # If the texts have no first token in common, the token that ends a document comes before each.
    before = () if shared_length(different) else (prompter.end_id,)
    full_rows = [(*before, *row) for row in different]
    num_given = max(1, shared_length(full_rows))
    found = yield from score_rows(model, full_rows, num_given, cache_salt=cache_salt)
    totals = dict(zip(different, map(sum, found), strict=True))
    return [totals[tuple(row)] for row in rows]


def shared_length(rows: Sequence[Sequence[int]]) -> int:
    """Return how many tokens all rows begin with, one less where that is all of a row.

    >>> shared_length([[1, 2, 3], [1, 2, 4]])
    2
    """
    columns = zip(*rows, strict=False)
    same = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
    return min(same, min(map(len, rows)) - 1)


def _spelled(prompter: Prompter, prompt: Prompt, infills: Sequence[str]) -> _Pieces:
    """Return the tokens of the first infill and its end, those before the second infill, and so on."""
    row: _Pieces = []
    for hole, (required, infill) in enumerate(zip(prompt.required_prefixes, infills, strict=False)):
        if hole:
            row.append((prompter.marks_before(prompt, hole), False))
        data = required + infill.encode("utf-8", "surrogateescape")
        token_ids = prompter.vocabulary.tokenizer.encode_bytes(data)
        row.append(([*token_ids, prompter.end_id], True))
    return row


def _num_that_fit(row: _Pieces, budget: int) -> int:
    """Return the number of a row's infills, from the first on, whose tokens fit into the budget."""
    num_tokens = 0
    for index, (token_ids, _) in enumerate(row):
        num_tokens += len(token_ids)
        if num_tokens > budget:
            return (index + 1) // 2
    return (len(row) + 1) // 2


def _logprobs(logits_TV: Tensor, token_ids: Sequence[int]) -> list[float]:
    token_ids_T = torch.tensor(token_ids, device=logits_TV.device)
    logprobs_T = logits_TV.gather(1, token_ids_T[:, None])[:, 0] - logits_TV.logsumexp(dim=1)
    return list(logprobs_T.tolist())


def _overlapping(num_tokens: int, window: int) -> Iterator[tuple[int, int]]:
    start, end = 0, min(num_tokens, window)
    if num_tokens:
        yield start, end
    while end < num_tokens:
        start = end - window // 2
        end = min(num_tokens, start + window)
        yield start, end
