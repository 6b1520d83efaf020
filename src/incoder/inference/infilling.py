"""Filling all the holes of a text: windows over long texts, holes in order, candidates side by side.

The prompt is read once for all candidates; after the first hole each candidate goes its own way, and its
later fills see its earlier ones: in the model's memory where the holes share a window, as text where they do
not. Texts are as the model knows them (see line_endings.py). Knows no files and no ranking.
"""

import codecs
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import torch

from incoder.document import Parts
from incoder.inference.beam_search import beam_search
from incoder.inference.decoding import Decoded, FinishReason, Vocabulary, decoding
from incoder.inference.edges import ALL_EDGE_RULES, Edge, EdgeRule
from incoder.inference.lead import split_lead
from incoder.inference.programs import Program, Read
from incoder.inference.sampling import SamplingParams
from incoder.inference.sequences import LanguageModel
from incoder.inference.window import Window, cut_window

_SPARE = 16  # tokens: what was held back may be spelled by more of them, and each hole has its marks
_SPARE_PER_HOLE = 32  # so that a window full of text still has room for short fills of neighbouring holes
_MAX_SPARE_HOLES = 3


@dataclass(slots=True)
class Chain:
    """One candidate, number `index`, on its way through the holes."""

    index: int
    stream: torch.Generator = field(default_factory=torch.Generator)
    infills: list[str] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reasons: list[FinishReason] = field(default_factory=list)

    def add(self, decoded: Decoded) -> None:
        self.infills.append(text_of(decoded.spelling))
        self.logprobs += decoded.logprobs
        self.finish_reasons.append(decoded.finish_reason)


@dataclass(frozen=True, slots=True)
class Watch:
    """Who looks on: `on_fill` after each fill of each chain, `on_bytes` when more of a chain's is certain.

    `is_time_up` is asked before every token; what was written until then is kept.
    """

    on_fill: Callable[[], None] = lambda: None
    on_bytes: Callable[[Chain, bytes], None] = lambda *_: None
    is_time_up: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is read before the first fill; for each hole its lead, and the bytes with which its tokens begin.

    The first hole's lead is at the end of `token_ids`.
    """

    token_ids: list[int]
    leads: tuple[list[int], ...]
    forced: tuple[bytes, ...]


class Infiller:
    """Fills the holes of one text with one model.

    `header` is put before the text (its attributes), and the tokens `context` before every prompt. Fills
    begin with `num_lead_lines` of the text before their hole (lead.py).
    """

    def __init__(
        self,
        model: LanguageModel,
        vocabulary: Vocabulary,
        params: SamplingParams,
        *,
        header: str = "",
        context: Sequence[int] = (),
        num_lead_lines: int = 0,
        heal_tokens: bool = True,
        edge_rules: Collection[EdgeRule] = ALL_EDGE_RULES,
    ) -> None:
        self._model = model
        self._vocabulary = vocabulary
        self._layout = vocabulary.layout
        self._params = params
        self._header = header
        self._context = list(context)
        self._num_lead_lines = num_lead_lines
        self._heal_tokens = heal_tokens
        self._edge_rules = edge_rules
        # A fill takes no more than half of the positions from the text that it is to fit into.
        self._fill_room = min(params.max_new_tokens + _SPARE, model.max_positions // 2)

    def filling(self, texts: Sequence[str], chains: Sequence[Chain], watch: Watch) -> Program[None]:
        """Fill the holes between `texts` in every chain, or write on where there is only one text."""
        num_fills = max(1, len(texts) - 1)
        waiting = [list(chains)]
        while waiting:
            group = waiting.pop()
            yield from self._filling_window(texts, group, watch)
            if len(group[0].infills) < num_fills:
                waiting += _with_the_same_infills(group)

    def searching(self, texts: Sequence[str], num_results: int, watch: Watch) -> Program[list[Chain]]:
        """Fill each hole by beam search, the best fill going on; of a single one, so many results."""
        best = Chain(0)
        while True:
            prompt = self.prompt(texts, best.infills)
            sequences = self._model.open(len(prompt.token_ids) + self._fill_room + _SPARE)
            try:
                logits_1V = yield Read(sequences, [prompt.token_ids])
                found = yield from beam_search(
                    sequences,
                    logits_1V,
                    forced=prompt.forced[0],
                    params=self._params,
                    vocabulary=self._vocabulary,
                    max_positions=self._model.max_positions,
                    edge=self._edge(texts, len(best.infills)),
                    is_time_up=watch.is_time_up,
                )
            finally:
                sequences.close()
            if len(texts) <= 2:
                chains = [Chain(index) for index in range(min(num_results, len(found)))]
                for chain, decoded in zip(chains, found, strict=False):
                    chain.add(decoded)
                watch.on_fill()
                return chains
            best.add(found[0])
            watch.on_fill()
            if len(best.infills) == len(texts) - 1:
                return [best]

    def prompt(self, texts: Sequence[str], infills: Sequence[str]) -> Prompt:
        """The prompt for the first hole without an infill, and for as many after it as are near."""
        num_filled = len(infills)
        prefix = Parts(tuple(texts[: num_filled + 1])).join(infills)
        parts = [prefix, *texts[num_filled + 1 :]]
        if self._layout.max_num_holes == 1 and len(parts) > 2:
            parts = [prefix, "".join(parts[1:])]  # later holes are shown as if there was nothing to fill
        spare = _SPARE_PER_HOLE * min(len(parts) - 1, _MAX_SPARE_HOLES)
        before = len(self._context) + self._num_tokens(self._header)
        room = self._model.max_positions - self._fill_room - spare - before
        while True:
            window = cut_window(parts, room, self._layout.max_num_holes, self._num_tokens)
            prompt = self._written(window, has_holes=len(parts) > 1)
            excess = len(prompt.token_ids) + self._fill_room - self._model.max_positions
            if excess <= 0 or room <= 0:
                return prompt
            room -= excess

    def _written(self, window: Window, *, has_holes: bool) -> Prompt:
        tokenizer = self._vocabulary.tokenizer
        texts = window.parts if has_holes else window.parts[:1]
        num_lines = self._num_lead_lines if has_holes else 0
        cuts = [
            split_lead(text, num_lines, num_kept=num_lines if index else 0)
            for index, text in enumerate(texts[:-1] or texts)
        ]
        texts = (*(kept for kept, _ in cuts), *texts[len(cuts) :])
        parts = [tokenizer.encode_start(self._header + texts[0]), *map(tokenizer.encode, texts[1:])]
        leads, forced = [], []
        for index, (kept, lead) in enumerate(cuts):
            lead_ids, held = tokenizer.encode(lead), b""
            if self._heal_tokens and lead:
                lead_ids, held = self._vocabulary.table.hold_back(lead_ids, _bytes_of_last_line(lead))
            elif self._heal_tokens:
                parts[index], held = self._vocabulary.table.hold_back(parts[index], _bytes_of_last_line(kept))
            leads.append(lead_ids)
            forced.append(held)
        token_ids = self._layout.prompt(parts, is_start=window.is_start or bool(self._header))
        token_ids += [*self._layout.hole_start(0), *leads[0]] if has_holes else []
        return Prompt(self._context + token_ids, tuple(leads), tuple(forced))

    def _filling_window(self, texts: Sequence[str], chains: Sequence[Chain], watch: Watch) -> Program[None]:
        """Fill as many holes as one window shows and has room for; the chains are equal so far."""
        prompt = self.prompt(texts, chains[0].infills)
        num_slots = len(prompt.token_ids) + len(prompt.forced) * (self._fill_room + _SPARE)
        sequences = self._model.open(num_slots)
        try:
            logits_BV = yield Read(sequences, [prompt.token_ids])
            if len(chains) > 1:
                sequences.select([0] * len(chains))
                logits_BV = logits_BV.expand(len(chains), -1)
            contexts = [list(prompt.token_ids) for _ in chains]
            decoded: list[Decoded] = []
            for hole, forced in enumerate(prompt.forced):
                if hole:
                    unread = self._between_holes(decoded, hole, prompt.leads[hole])
                    num_read = map(len, unread)
                    longest = max(map(sum, zip(sequences.lengths, num_read, strict=True)))
                    if longest + self._fill_room > self._model.max_positions:
                        return
                    logits_BV = yield Read(sequences, unread)
                decoded = yield from decoding(
                    sequences,
                    logits_BV,
                    forced=forced,
                    params=self._params,
                    streams=[chain.stream for chain in chains],
                    vocabulary=self._vocabulary,
                    max_positions=self._model.max_positions,
                    contexts=contexts,
                    edge=self._edge(texts, len(chains[0].infills)),
                    is_time_up=watch.is_time_up,
                    on_bytes=lambda row, data: watch.on_bytes(chains[row], data),
                )
                for chain, context, row in zip(chains, contexts, decoded, strict=True):
                    context += row.token_ids
                    chain.add(row)
                    watch.on_fill()
        finally:
            sequences.close()

    def _edge(self, texts: Sequence[str], hole: int) -> Edge | None:
        """The edge of a hole, as far as the texts right beside it tell; a completion has none."""
        if len(texts) < 2:
            return None
        prefix, suffix = (text.encode("utf-8", "surrogateescape") for text in texts[hole : hole + 2])
        return Edge(prefix, suffix, self._edge_rules)

    def _between_holes(self, decoded: Sequence[Decoded], hole: int, lead: Sequence[int]) -> list[list[int]]:
        """What each row reads before it fills the next hole: the end of its last fill, marks, the lead."""
        assert self._layout.end_of_infill_id is not None
        marks = [self._layout.end_of_infill_id, *self._layout.hole_start(hole), *lead]
        return [[*row.unread, *marks] for row in decoded]

    def _num_tokens(self, text: str) -> int:
        return len(self._vocabulary.tokenizer.encode(text))


def text_of(spelling: bytes) -> str:
    """The text of a fill's bytes: a character cut off at the end is left out, bad bytes are replaced."""
    return codecs.getincrementaldecoder("utf-8")("replace").decode(spelling)


def _bytes_of_last_line(text: str) -> int:
    """How much of a text healing may take back: what stands on the hole's own line.

    A run of line ends is left alone, though a longer run may be one token: in training, whole
    lines are cut out after their predecessor's line end, and hardly ever together with it.
    """
    return len(text[1 + max(text.rfind("\n"), text.rfind("\r")) :].encode("utf-8", "surrogateescape"))


def _with_the_same_infills(chains: Sequence[Chain]) -> list[list[Chain]]:
    groups: dict[tuple[str, ...], list[Chain]] = defaultdict(list)
    for chain in chains:
        groups[tuple(chain.infills)].append(chain)
    return list(groups.values())
