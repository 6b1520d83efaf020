"""The rows of tokens whose log-probabilities score infills and filled texts, and what is made of those.

The functions are generators: they yield rows of tokens, are sent the log-probabilities of each row's tokens
after those that all rows share, and return what was asked for. So models here and on other servers score
alike. Texts have the form that the model reads (line_endings.py). Imports no torch.
"""

from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from itertools import chain, islice, takewhile
from typing import NamedTuple

from incoder.errors import IncoderError
from incoder.inference.prompts.prompter import Prompt, Prompter
from incoder.results import Score
from incoder.tokenizer.text_tokenizer import TextTokenizer

Logprobs = list[list[float]]
_Pieces = list[tuple[list[int], bool]]  # tokens, and whether they belong to an infill


class Rows(NamedTuple):
    """Rows of tokens; the first `num_given` are the same in all rows, and only those after them count."""

    token_ids: Sequence[Sequence[int]]
    num_given: int


def infill_rows(
    prompter: Prompter, texts: Sequence[str], infills: Sequence[Sequence[str]]
) -> Generator[Rows, Logprobs, list[Score]]:
    """Return the scores of each of these infills of all holes, the end of every infill included.

    A required prefix counts with its infill, as it does in generation.

    Raises:
        IncoderError: an infill that the model cannot read together with the text around its hole.
    """
    logprobs: list[list[list[float]]] = [[] for _ in infills]  # by candidate and hole
    waiting = [(0, list(range(len(infills))))]
    while waiting:
        num_filled, group = waiting.pop()
        prompt = prompter.prompt(texts, infills[group[0]][:num_filled])
        budget = prompter.max_positions - len(prompt.token_ids)
        spelled = [_spelled(prompter, prompt, infills[index][num_filled:]) for index in group]
        num_holes = min(_num_that_fit(row, budget) for row in spelled)
        if not num_holes:
            raise IncoderError(
                f"an infill is too long to be scored: the model reads {prompter.max_positions} tokens, of "
                f"which the text around the hole leaves {budget}; give a shorter infill"
            )
        kept = [row[: 2 * num_holes - 1] for row in spelled]
        rows = [[*prompt.token_ids, *(i for token_ids, _ in row for i in token_ids)] for row in kept]
        found = yield Rows(rows, len(prompt.token_ids))
        for index, row, values in zip(group, kept, found, strict=True):
            rest = iter(values)
            pieces = [(list(islice(rest, len(token_ids))), is_infill) for token_ids, is_infill in row]
            logprobs[index] += [piece for piece, is_infill in pieces if is_infill]
        num_filled += num_holes
        if num_filled < len(texts) - 1:
            alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
            for index in group:
                alike[tuple(infills[index][:num_filled])].append(index)
            waiting += [(num_filled, same) for same in alike.values()]
    return [Score(tuple(chain.from_iterable(one)), tuple(map(len, one))) for one in logprobs]


def full_text_rows(
    prompter: Prompter, texts: Sequence[str], infills: Sequence[Sequence[str]]
) -> Generator[Rows, Logprobs, list[float]]:
    """Return the log-probability of the full text with each of these infills of all holes.

    It is without the prefix that all share.
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
    found = yield Rows(full_rows, num_given)
    totals = dict(zip(different, map(sum, found), strict=True))
    return [totals[tuple(row)] for row in rows]


def mean_by_line(
    text: str, token_ids: Sequence[int], logprobs: Sequence[float], tokenizer: TextTokenizer
) -> tuple[float, ...]:
    """Return the mean log-probability of each line's tokens; 0 for a line without tokens.

    A token that reaches into the next line counts for the line in which it begins. The first token may have
    no log-probability, if nothing precedes it.
    """
    lines: list[list[float]] = [[] for _ in range(text.count("\n") + 1)]
    num_unscored = len(token_ids) - len(logprobs)
    line = tokenizer.decode_bytes(token_ids[:num_unscored]).count(b"\n")
    for token_id, logprob in zip(token_ids[num_unscored:], logprobs, strict=True):
        lines[line].append(logprob)
        line += tokenizer.token_bytes(token_id).count(b"\n")
    return tuple(sum(values) / max(1, len(values)) for values in lines)


def shared_length(rows: Sequence[Sequence[int]]) -> int:
    """Return how many tokens all rows begin with, one less where that is all of a row.

    >>> shared_length([[1, 2, 3], [1, 2, 4]])
    2
    """
    columns = zip(*rows, strict=False)
    same = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
    return min(same, min(map(len, rows)) - 1)


def overlapping(num_tokens: int, window: int) -> Iterator[tuple[int, int]]:
    """Yield where the windows of a text begin and end; they overlap by half.

    >>> list(overlapping(5, window=4))
    [(0, 4), (2, 5)]
    """
    start, end = 0, min(num_tokens, window)
    if num_tokens:
        yield start, end
    while end < num_tokens:
        start = end - window // 2
        end = min(num_tokens, start + window)
        yield start, end


def _spelled(prompter: Prompter, prompt: Prompt, infills: Sequence[str]) -> _Pieces:
    """Return the tokens of the first infill and its end, those before the second infill, and so on."""
    row: _Pieces = []
    for hole, (required, infill) in enumerate(zip(prompt.required_prefixes, infills, strict=False)):
        if hole:
            row.append((prompt.hole_starts[hole], False))
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
