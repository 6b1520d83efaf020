"""How probable a model finds a text with given fills in its holes, read left to right as one document.

To judge fills by: what stands behind a hole counts as what the model would have written after the fill. A
generation coroutine (language_model.py). Texts are as the model knows them (line_endings.py).
"""

from collections.abc import Sequence

from incoder.inference.language_model import Generation, LanguageModel
from incoder.inference.prompts.prompter import Prompter
from incoder.inference.scoring import scoring, shared_length


def whole_scoring(
    model: LanguageModel, prompter: Prompter, texts: Sequence[str], fills: Sequence[Sequence[str]]
) -> Generation[list[float]]:
    """The log-probability of the text with each of these fills of all holes, less what is the same for all.

    Of a long text what the model can read around the first hole counts, fills of later holes among it.
    """
    rows = prompter.whole(texts, fills)
    different = list(dict.fromkeys(map(tuple, rows)))
    if len(different) == 1 or min(map(len, different)) < 2:  # nothing to compare, or a text without a token
        return [0.0] * len(rows)
    found = yield from scoring(model, different, max(1, shared_length(different)))
    totals = dict(zip(different, map(sum, found), strict=True))
    return [totals[tuple(row)] for row in rows]
