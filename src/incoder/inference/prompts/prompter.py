"""The prompt before an infill: the text around the holes, cut to a window, in the model's infilling format.

Texts in, token ids and required prefixes out. Texts have the form that the model reads (line_endings.py).
Knows no sequences and generates nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from incoder.document import Parts
from incoder.inference.prompts.prefix_tail import split_tail
from incoder.inference.prompts.window import Window, cut_window
from incoder.inference.text_vocabulary import TextVocabulary
from incoder.results import ShownPrompt
from incoder.tokenizer.prefix_tail import LINES_BETWEEN_HOLES

SPARE = 16  # tokens: spelling a required prefix may take more than were removed, and each hole has sentinels
LEFT_CONTEXT = 8  # tokens of the text before a hole, the most that a prior looks at
_TRIPLE_QUOTES = ('"""', "'''")
# Tokens, so that a full window also leaves space for short infills of neighbouring holes.
_SPARE_PER_HOLE = 32
_MAX_SPARE_HOLES = 3


@dataclass(frozen=True, slots=True)
class Prompt:
    """The tokens before the first infill; for each hole where its infill starts, and its required prefix.

    `hole_starts` are the tokens right before each infill: its sentinel and prefix tail. The first hole's are
    at the end of `token_ids`. `left_contexts` are the last tokens of the text before each hole, without those
    of the required prefix.
    """

    token_ids: list[int]
    hole_starts: tuple[list[int], ...]
    required_prefixes: tuple[bytes, ...]
    left_contexts: tuple[list[int], ...]


class Prompter:
    """Writes the prompts for the holes of one text, for a model of `max_positions`.

    `header` (attributes) precedes the text, and the tokens `context` precede every prompt. The last
    `num_tail_lines` of the text before a hole are given as the start of its infill (prefix_tail.py); with
    `marks_tails` a sentinel ends them, for a model that was trained so. `token_healing` removes tokens that
    may be partial (text_vocabulary.py). `other_files` names the files in `context` and `header`.
    """

    def __init__(
        self,
        vocabulary: TextVocabulary,
        max_positions: int,
        max_new_tokens: int,
        *,
        header: str = "",
        context: Sequence[int] = (),
        num_tail_lines: int = 0,
        marks_tails: bool = False,
        token_healing: bool = True,
        other_files: Sequence[str] = (),
    ) -> None:
        self.vocabulary = vocabulary
        self._layout = vocabulary.layout
        self.max_positions = max_positions
        self._header = header
        self._context = list(context)
        self._num_tail_lines = num_tail_lines
        self.marks_tails = marks_tails and num_tail_lines > 0
        self._token_healing = token_healing
        self._other_files = tuple(other_files)
        self.infill_budget = infill_budget(max_new_tokens, max_positions)

    def prompt(self, texts: Sequence[str], infills: Sequence[str], *, omits_sentinel: bool = False) -> Prompt:
        """Return the prompt for the first hole without an infill, and the next ones in the same window.

        With `omits_sentinel`, none ends a prefix tail. A model that was trained with them then continues a
        line better, but hardly ends the infill.
        """
        marks_tails = self.marks_tails and not omits_sentinel
        num_filled = len(infills)
        prefix = Parts(tuple(texts[: num_filled + 1])).join(infills)
        parts = [prefix, *texts[num_filled + 1 :]]
        if self._layout.max_num_holes == 1 and len(parts) > 2:
            parts = [prefix, "".join(parts[1:])]  # later holes are shown as if there was nothing to fill
        spare = _SPARE_PER_HOLE * min(len(parts) - 1, _MAX_SPARE_HOLES)
        budget = self.max_positions - self.infill_budget - spare - self._num_before
        while True:
            window = cut_window(parts, budget, self._layout.max_num_holes, self._num_tokens)
            prompt = self._written(window, has_holes=len(parts) > 1, marks_tails=marks_tails)
            excess = len(prompt.token_ids) + self.infill_budget - self.max_positions
            if excess <= 0 or budget <= 0:
                return prompt
            budget -= excess

    def full_texts(self, texts: Sequence[str], infills: Sequence[Sequence[str]]) -> list[list[int]]:
        """Return the tokens of the full text with each of these infills, cut to a window as prompts are.

        They have no sentinels. If the end of a text does not fit, it is cut off.
        """
        longest = max(sum(map(self._num_tokens, each)) for each in infills)
        budget = self.max_positions - infill_budget(longest, self.max_positions) - self._num_before
        window = cut_window(texts, budget, len(texts) - 1, self._num_tokens)
        is_start = window.is_start or bool(self._header)
        num_shown = len(window.parts) - 1
        rows = []
        for each in infills:
            text = self._header + Parts(window.parts).join(each[:num_shown])
            token_ids = self._layout.prompt([self.vocabulary.tokenizer.encode_start(text)], is_start=is_start)
            rows.append([*self._context, *token_ids][: self.max_positions])
        return rows

    def shown(self, prompt: Prompt) -> ShownPrompt:
        """Return the prompt as text, with the names of special tokens."""
        tokenizer = self.vocabulary.tokenizer
        names = {token_id: name.encode() for name, token_id in tokenizer.special_ids.items()}
        read = b"".join(names.get(one) or tokenizer.token_bytes(one) for one in prompt.token_ids)
        text, required = (
            data.decode("utf-8", "surrogateescape") for data in (read, prompt.required_prefixes[0])
        )
        return ShownPrompt(text, required, tuple(prompt.token_ids), other_files=self._other_files)

    @property
    def end_id(self) -> int:
        """The token that ends an infill."""
        assert self._layout.end_of_infill_id is not None, "the model only completes"
        return self._layout.end_of_infill_id

    def _written(self, window: Window, *, has_holes: bool, marks_tails: bool) -> Prompt:
        tokenizer, table = self.vocabulary.tokenizer, self.vocabulary.table
        texts = window.parts if has_holes else window.parts[:1]
        num_lines = self._num_tail_lines if has_holes else 0
        cuts = [
            split_tail(text, num_lines, num_kept=min(num_lines, LINES_BETWEEN_HOLES) if index else 0)
            for index, text in enumerate(texts[:-1] or texts)
        ]
        texts = (*(kept for kept, _ in cuts), *texts[len(cuts) :])
        parts = [tokenizer.encode_start(self._header + texts[0]), *map(tokenizer.encode, texts[1:])]
        hole_starts, required_prefixes, left_contexts = [], [], []
        for index, (kept, tail) in enumerate(cuts):
            tail_ids, required = tokenizer.encode(tail), b""
            if self._token_healing and tail:
                tail_ids, required = table.split_required_prefix(tail_ids, _most_bytes_to_heal(tail))
            elif self._token_healing:
                parts[index], required = table.split_required_prefix(parts[index], _most_bytes_to_heal(kept))
            hole_starts.append(self._hole_start(index, tail_ids, marks_tail=marks_tails) if has_holes else [])
            required_prefixes.append(required)
            left_contexts.append([*parts[index], *tail_ids][-LEFT_CONTEXT:])
        token_ids = self._layout.prompt(parts, is_start=window.is_start or bool(self._header))
        return Prompt(
            [*self._context, *token_ids, *hole_starts[0]],
            tuple(hole_starts),
            tuple(required_prefixes),
            tuple(left_contexts),
        )

    def _hole_start(self, hole: int, tail: Sequence[int], *, marks_tail: bool) -> list[int]:
        start = self._layout.hole_start(hole)
        return [*start, *tail, *(start if tail and marks_tail else [])]

    @property
    def _num_before(self) -> int:
        """The number of tokens before the text."""
        return len(self._context) + self._num_tokens(self._header)

    def _num_tokens(self, text: str) -> int:
        return len(self.vocabulary.tokenizer.encode(text))


def infill_budget(max_new_tokens: int, max_positions: int) -> int:
    """Return the number of tokens kept free for an infill: at most half of the positions.

    >>> infill_budget(128, 2048), infill_budget(2000, 2048)
    (144, 1024)
    """
    return min(max_new_tokens + SPARE, max_positions // 2)


def _most_bytes_to_heal(text: str) -> int:
    """Return the size of the last line, the most that token healing may remove; 0 after triple quotes.

    A run of line ends is kept although a longer run may be one token: in training, whole lines are masked
    after the line end before them, and hardly ever together with it. Triple quotes are complete; with the
    token of six of them in reach, a model too often closes a docstring that it should write.
    """
    if text.endswith(_TRIPLE_QUOTES):
        return 0
    return len(text[1 + max(text.rfind("\n"), text.rfind("\r")) :].encode("utf-8", "surrogateescape"))
