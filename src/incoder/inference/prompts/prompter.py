"""What a model reads before a fill: the text around the holes, cut to a window, in the model's layout.

Texts in, token ids out, and the bytes that healing held back. Texts are as the model knows them
(line_endings.py). Knows no sequences and generates nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from incoder.document import Parts
from incoder.inference.decoding.decode_loop import Vocabulary
from incoder.inference.prompts.prefix_tail import split_lead
from incoder.inference.prompts.window import Window, cut_window

SPARE = 16  # tokens: what was held back may be spelled by more of them, and each hole has its marks
_SPARE_PER_HOLE = 32  # so that a window full of text still has room for short fills of neighbouring holes
_MAX_SPARE_HOLES = 3
_LINES_BETWEEN = 5  # at most, of a text between two holes: the first one's suffix, not the other's lead


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is read before the first fill; for each hole its lead, and the bytes with which its tokens begin.

    The first hole's lead is at the end of `token_ids`.
    """

    token_ids: list[int]
    leads: tuple[list[int], ...]
    forced: tuple[bytes, ...]


class Prompter:
    """Writes the prompts for the holes of one text, for a model of `max_positions`.

    `header` is put before the text (its attributes), and the tokens `context` before every prompt. Fills
    begin with `num_lead_lines` of the text before their hole (lead.py), and a model that was trained so knows
    where these end by a mark (`marks_leads`). `heal_tokens` holds back tokens that
    may be partial (healing.py).
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        max_positions: int,
        max_new_tokens: int,
        *,
        header: str = "",
        context: Sequence[int] = (),
        num_lead_lines: int = 0,
        marks_leads: bool = False,
        heal_tokens: bool = True,
    ) -> None:
        self.vocabulary = vocabulary
        self._layout = vocabulary.layout
        self._max_positions = max_positions
        self._header = header
        self._context = list(context)
        self._num_lead_lines = num_lead_lines
        self._marks_leads = marks_leads
        self._heal_tokens = heal_tokens
        self.fill_room = fill_room(max_new_tokens, max_positions)

    def prompt(self, texts: Sequence[str], infills: Sequence[str]) -> Prompt:
        """The prompt for the first hole without an infill, and for as many after it as are near."""
        num_filled = len(infills)
        prefix = Parts(tuple(texts[: num_filled + 1])).join(infills)
        parts = [prefix, *texts[num_filled + 1 :]]
        if self._layout.max_num_holes == 1 and len(parts) > 2:
            parts = [prefix, "".join(parts[1:])]  # later holes are shown as if there was nothing to fill
        spare = _SPARE_PER_HOLE * min(len(parts) - 1, _MAX_SPARE_HOLES)
        room = self._max_positions - self.fill_room - spare - self._num_before
        while True:
            window = cut_window(parts, room, self._layout.max_num_holes, self._num_tokens)
            prompt = self._written(window, has_holes=len(parts) > 1)
            excess = len(prompt.token_ids) + self.fill_room - self._max_positions
            if excess <= 0 or room <= 0:
                return prompt
            room -= excess

    def whole(self, texts: Sequence[str], fills: Sequence[Sequence[str]]) -> list[list[int]]:
        """The text with each of these fills of all holes, without a trace of the holes, cut as prompts are.

        Where no room is left for the end of a text it is cut off there.
        """
        longest = max(sum(map(self._num_tokens, each)) for each in fills)
        room = self._max_positions - fill_room(longest, self._max_positions) - self._num_before
        window = cut_window(texts, room, len(texts) - 1, self._num_tokens)
        is_start = window.is_start or bool(self._header)
        num_shown = len(window.parts) - 1
        rows = []
        for each in fills:
            text = self._header + Parts(window.parts).join(each[:num_shown])
            token_ids = self._layout.prompt([self.vocabulary.tokenizer.encode_start(text)], is_start=is_start)
            rows.append([*self._context, *token_ids][: self._max_positions])
        return rows

    @property
    def end_id(self) -> int:
        """What ends a fill."""
        assert self._layout.end_of_infill_id is not None, "the model only completes"
        return self._layout.end_of_infill_id

    def marks_before(self, prompt: Prompt, hole: int) -> list[int]:
        """What stands between the end of the fill before and the fill of this hole: marks, the lead."""
        return self._hole_start(hole, prompt.leads[hole])

    def _written(self, window: Window, *, has_holes: bool) -> Prompt:
        tokenizer = self.vocabulary.tokenizer
        texts = window.parts if has_holes else window.parts[:1]
        num_lines = self._num_lead_lines if has_holes else 0
        cuts = [
            split_lead(text, num_lines, num_kept=min(num_lines, _LINES_BETWEEN) if index else 0)
            for index, text in enumerate(texts[:-1] or texts)
        ]
        texts = (*(kept for kept, _ in cuts), *texts[len(cuts) :])
        parts = [tokenizer.encode_start(self._header + texts[0]), *map(tokenizer.encode, texts[1:])]
        leads, forced = [], []
        for index, (kept, lead) in enumerate(cuts):
            lead_ids, held = tokenizer.encode(lead), b""
            if self._heal_tokens and lead:
                lead_ids, held = self.vocabulary.table.hold_back(lead_ids, _bytes_of_last_line(lead))
            elif self._heal_tokens:
                parts[index], held = self.vocabulary.table.hold_back(parts[index], _bytes_of_last_line(kept))
            leads.append(lead_ids)
            forced.append(held)
        token_ids = self._layout.prompt(parts, is_start=window.is_start or bool(self._header))
        token_ids += self._hole_start(0, leads[0]) if has_holes else []
        return Prompt(self._context + token_ids, tuple(leads), tuple(forced))

    def _hole_start(self, hole: int, lead: Sequence[int]) -> list[int]:
        start = self._layout.hole_start(hole)
        return [*start, *lead, *(start if lead and self._marks_leads else [])]

    @property
    def _num_before(self) -> int:
        """The tokens that stand before the text."""
        return len(self._context) + self._num_tokens(self._header)

    def _num_tokens(self, text: str) -> int:
        return len(self.vocabulary.tokenizer.encode(text))


def fill_room(max_new_tokens: int, max_positions: int) -> int:
    """The tokens kept free for a fill: no more than half of the positions, the rest is for its text."""
    return min(max_new_tokens + SPARE, max_positions // 2)


def _bytes_of_last_line(text: str) -> int:
    """How much of a text healing may take back: what stands on the hole's own line.

    A run of line ends is left alone, though a longer run may be one token: in training, whole
    lines are cut out after their predecessor's line end, and hardly ever together with it.
    """
    return len(text[1 + max(text.rfind("\n"), text.rfind("\r")) :].encode("utf-8", "surrogateescape"))
