"""Multiple choice: the word that a model finds most probable at a place, by one of four prompt formats.

The prompt formats are those of the paper's appendix A.2. Those with a hole never cut inside a token, which
would cost 12 points (paper, table 9): the hole covers all tokens that overlap the word, in the text with
either word.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from incoder.evaluation.benchmark import INFILL, LEFT_TO_RIGHT, RERANK, Task
from incoder.evaluation.benchmarks.cloze import INFILL_REGION
from incoder.model_protocol import Model
from incoder.tokenizer.text_tokenizer import TextTokenizer

_REGION_TOKENS = 10  # the tokens after the word in the hole of infill-region (paper, appendix A.2)


class TokenizedModel(Model, Protocol):
    """A model whose tokenizer is known."""

    @property
    def tokenizer(self) -> TextTokenizer: ...


def most_probable(task: Task, method: str, model: TokenizedModel) -> str:
    """Return the word with the highest total log-probability.

    `left-to-right` scores the text up to the word, `rerank` the full text, and `infill` the content of the
    hole: the word and the end of the infill. `infill-region` adds the ten tokens after the word to the hole.
    """
    prompt = task.prompt_for(method)
    prefix, suffix = prompt.parts
    if method in (LEFT_TO_RIGHT, RERANK):
        after = suffix if method == RERANK else ""
        scores = model.score_texts([prefix + word + after for word in task.choices], path=prompt.path)
    else:
        assert method in (INFILL, INFILL_REGION)
        num_more = _REGION_TOKENS if method == INFILL_REGION else 0
        left, right = _whole_tokens(prefix, suffix, task.choices, model.tokenizer, num_more)
        parts = _text(left), _text(_bytes(suffix)[right:])
        fills = [
            _text(_bytes(prefix)[len(left) :] + _bytes(word) + _bytes(suffix)[:right])
            for word in task.choices
        ]
        scores = model.score_infills(parts, fills, path=prompt.path, token_healing=False)
    totals = [score.total_logprob for score in scores]
    return task.choices[totals.index(max(totals))]


def _whole_tokens(
    prefix: str, suffix: str, words: Sequence[str], tokenizer: TextTokenizer, num_more: int
) -> tuple[bytes, int]:
    """The part of the prefix before the hole, and the number of bytes of the suffix inside the hole."""
    start, end, left = len(_bytes(prefix)), 0, len(_bytes(prefix))
    for word in words:
        ids = tokenizer.encode(prefix + word + suffix)
        ends = list(accumulate(len(tokenizer.token_bytes(token_id)) for token_id in ids))
        word_end = start + len(_bytes(word))
        left = min(left, max((place for place in ends if place <= start), default=0))
        last = next(index for index, place in enumerate(ends) if place >= word_end)
        end = max(end, ends[min(last + num_more, len(ends) - 1)] - word_end)
    return _bytes(prefix)[:left], end


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
