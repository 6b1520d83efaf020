"""How probable a model finds given fills of a text's holes: each as if the model had written it.

A generation coroutine (language_model.py); what the fills have in common is read once. Texts are as the model
knows them (line_endings.py).
"""

from collections import defaultdict
from collections.abc import Sequence

from incoder.errors import IncoderError
from incoder.inference.language_model import Generation, LanguageModel
from incoder.inference.prompts.prompter import Prompt, Prompter
from incoder.inference.scoring import scoring

_Row = list[tuple[list[int], bool]]  # tokens, and whether they are a fill's


def fill_scoring(
    model: LanguageModel, prompter: Prompter, texts: Sequence[str], fills: Sequence[Sequence[str]]
) -> Generation[list[list[float]]]:
    """The log-probabilities of the tokens of each of these fills of all holes, each fill with its end.

    What was held back before a hole counts with its fill, as it does when a fill is written.

    Raises:
        IncoderError: a fill that the model cannot read with what stands around its hole.
    """
    logprobs: list[list[float]] = [[] for _ in fills]
    waiting = [(0, list(range(len(fills))))]
    while waiting:
        num_filled, group = waiting.pop()
        prompt = prompter.prompt(texts, fills[group[0]][:num_filled])
        room = model.max_positions - len(prompt.token_ids)
        spelled = [_spelled(prompter, prompt, fills[index][num_filled:]) for index in group]
        num_holes = min(_num_that_fit(row, room) for row in spelled)
        if not num_holes:
            raise IncoderError(
                f"a fill is too long to be scored: the model reads {model.max_positions} tokens with what "
                f"stands around the hole, and this leaves {room}"
            )
        kept = [row[: 2 * num_holes - 1] for row in spelled]
        rows = [[*prompt.token_ids, *(i for token_ids, _ in row for i in token_ids)] for row in kept]
        found = yield from scoring(model, rows, len(prompt.token_ids))
        for index, row, values in zip(group, kept, found, strict=True):
            is_fill = [mark for token_ids, mark in row for _ in token_ids]
            logprobs[index] += [value for value, mark in zip(values, is_fill, strict=True) if mark]
        num_filled += num_holes
        if num_filled < len(texts) - 1:
            alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
            for index in group:
                alike[tuple(fills[index][:num_filled])].append(index)
            waiting += [(num_filled, same) for same in alike.values()]
    return logprobs


def _spelled(prompter: Prompter, prompt: Prompt, fills: Sequence[str]) -> _Row:
    """The first fill and its end, what stands between, the second fill, and so on."""
    row: _Row = []
    for hole, (held, fill) in enumerate(zip(prompt.forced, fills, strict=False)):
        if hole:
            row.append((prompter.marks_before(prompt, hole), False))
        token_ids = prompter.vocabulary.tokenizer.encode_bytes(held + fill.encode("utf-8", "surrogateescape"))
        row.append(([*token_ids, prompter.end_id], True))
    return row


def _num_that_fit(row: _Row, room: int) -> int:
    """How many fills of a row, from the first on, take no more tokens than there is room for."""
    num_tokens = 0
    for index, (token_ids, _) in enumerate(row):
        num_tokens += len(token_ids)
        if num_tokens > room:
            return (index + 1) // 2
    return (len(row) + 1) // 2
