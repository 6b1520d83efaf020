"""Filling all the holes of a text: windows over long texts, holes in order, candidates side by side.

The prompt is read once for all candidates; after the first hole each candidate goes its own way, and its
later fills see its earlier ones: in the model's memory where the holes share a window, as text where they do
not. Texts are as the model knows them (see line_endings.py). Knows no files and does no ranking.
"""

import codecs
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import torch

from incoder.document import Parts
from incoder.errors import IncoderError
from incoder.inference.decoding.beam_search import beam_search
from incoder.inference.decoding.decode_loop import Decoded, FinishReason, decoding
from incoder.inference.decoding.stopping_rules.stopping import ALL_EDGE_RULES, Edge, EdgeRule
from incoder.inference.language_model import Forward, Generation, LanguageModel, Sequences
from incoder.inference.prompts.prompter import SPARE, Prompt, Prompter
from incoder.inference.sampling_params import SamplingParams
from incoder.inference.syntax.languages import UNKNOWN
from incoder.inference.syntax.scanner import START, Place
from incoder.inference.syntax.syntax import Syntax
from incoder.inference.whole_scoring import whole_scoring


@dataclass(slots=True)
class Chain:
    """One candidate, number `index`, on its way through the holes."""

    index: int
    stream: torch.Generator = field(default_factory=torch.Generator)
    infills: list[str] = field(default_factory=list)
    place: Place = START  # up to here the text so far has been scanned
    logprobs: list[float] = field(default_factory=list)
    finish_reasons: list[FinishReason] = field(default_factory=list)

    def add(self, decoded: Decoded) -> None:
        self.infills.append(text_of(decoded.spelling))
        self.logprobs += decoded.logprobs
        self.finish_reasons.append(decoded.finish_reason)


@dataclass(frozen=True, slots=True)
class Watch:
    """Who looks on: `on_fill` after each fill of each chain, `on_bytes` when more of a chain's is certain,
    which is found out only where there is one.

    `is_time_up` is asked before every token, and before every hole but the first is read; what was written
    until then is kept.
    """

    on_fill: Callable[[], None] = lambda: None
    on_bytes: Callable[[Chain, bytes], None] | None = None
    is_time_up: Callable[[], bool] = lambda: False


class Infiller:
    """Fills the holes of one text with one model; the `prompter` knows what stands before the text."""

    def __init__(
        self,
        model: LanguageModel,
        prompter: Prompter,
        params: SamplingParams,
        edge_rules: Collection[EdgeRule] = ALL_EDGE_RULES,
        syntax: Syntax = UNKNOWN,
        *,
        allows_tags: bool = True,
    ) -> None:
        self._model = model
        self._prompter = prompter
        self._vocabulary = prompter.vocabulary
        self._params = params
        self._edge_rules = edge_rules
        self._syntax = syntax
        self._allows_tags = allows_tags

    def filling(self, texts: Sequence[str], chains: Sequence[Chain], watch: Watch) -> Generation[None]:
        """Fill the holes between `texts` in every chain, or write on where there is only one text."""
        num_fills = max(1, len(texts) - 1)
        waiting = [list(chains)]
        while waiting:
            group = waiting.pop()
            if group[0].infills and watch.is_time_up():
                _leave_empty(group, num_fills, watch)
                continue
            yield from self._filling_window(texts, group, watch)
            if len(group[0].infills) < num_fills:
                waiting += _with_the_same_infills(group)

    def searching(self, texts: Sequence[str], num_results: int, watch: Watch) -> Generation[list[Chain]]:
        """Fill each hole by beam search, the best fill going on; of a single one, so many results."""
        best = Chain(0)
        while True:
            if best.infills and watch.is_time_up():
                _leave_empty([best], len(texts) - 1, watch)
                return [best]
            prompt = self._prompter.prompt(texts, best.infills)
            sequences = self._open(prompt)
            try:
                logits_1V = yield Forward(sequences, [prompt.token_ids])
                found = yield from beam_search(
                    sequences,
                    logits_1V,
                    forced=prompt.forced[0],
                    params=self._params,
                    vocabulary=self._vocabulary,
                    max_positions=self._model.max_positions,
                    context=prompt.token_ids,
                    edge=self._edge(texts, best),
                    is_time_up=watch.is_time_up,
                )
            finally:
                sequences.close()
            if len(texts) <= 2:
                different = first_of_each(found)
                chains = [Chain(index) for index in range(min(num_results, len(different)))]
                for chain, decoded in zip(chains, different, strict=False):
                    if watch.on_bytes is not None:
                        watch.on_bytes(chain, decoded.spelling)
                    chain.add(decoded)
                watch.on_fill()
                return chains
            if watch.on_bytes is not None:
                watch.on_bytes(best, found[0].spelling)
            best.add(found[0])
            watch.on_fill()
            if len(best.infills) == len(texts) - 1:
                return [best]

    def judging(self, texts: Sequence[str], chains: Sequence[Chain]) -> Generation[list[float]]:
        """How probable the text is with each chain's fills, read left to right: see whole_scoring.py."""
        fills = [chain.infills for chain in chains]
        return whole_scoring(self._model, self._prompter, texts, fills)

    def _filling_window(
        self, texts: Sequence[str], chains: Sequence[Chain], watch: Watch
    ) -> Generation[None]:
        """Fill as many holes as one window shows and has room for; the chains are equal so far."""

        def on_bytes(row: int, data: bytes) -> None:
            assert watch.on_bytes is not None
            watch.on_bytes(chains[row], data)

        prompt = self._prompter.prompt(texts, chains[0].infills)
        sequences = self._open(prompt)
        try:
            logits_BV = yield Forward(sequences, [prompt.token_ids])
            if len(chains) > 1:
                sequences.select([0] * len(chains))
                logits_BV = logits_BV.expand(len(chains), -1)
            contexts = [list(prompt.token_ids) for _ in chains]
            decoded: list[Decoded] = []
            for hole, forced in enumerate(prompt.forced):
                if hole:
                    if watch.is_time_up():
                        return
                    marks = [self._prompter.end_id, *self._prompter.marks_before(prompt, hole)]
                    unread = [[*row.unread, *marks] for row in decoded]
                    for context, row, tokens in zip(contexts, decoded, unread, strict=True):
                        context += [*row.read, *tokens]
                    num_read = map(len, unread)
                    longest = max(map(sum, zip(sequences.lengths, num_read, strict=True)))
                    if longest + self._prompter.fill_room > self._model.max_positions:
                        return
                    logits_BV = yield Forward(sequences, unread)
                decoded = yield from decoding(
                    sequences,
                    logits_BV,
                    forced=forced,
                    params=self._params,
                    streams=[chain.stream for chain in chains],
                    vocabulary=self._vocabulary,
                    max_positions=self._model.max_positions,
                    contexts=contexts,
                    edges=[self._edge(texts, chain) for chain in chains],
                    is_time_up=watch.is_time_up,
                    on_bytes=on_bytes if watch.on_bytes is not None else None,
                )
                for chain, row in zip(chains, decoded, strict=True):
                    chain.add(row)
                    watch.on_fill()
        finally:
            sequences.close()

    def _open(self, prompt: Prompt) -> Sequences:
        """Room for the prompt and its fills."""
        num_tokens, max_positions = len(prompt.token_ids), self._model.max_positions
        if num_tokens >= max_positions:
            raise IncoderError(
                f"what stands before the text leaves no room for it: {num_tokens} tokens, of which the model "
                f"can read {max_positions}; give a shorter path, fewer attributes, or another model"
            )
        num_slots = num_tokens + len(prompt.forced) * (self._prompter.fill_room + SPARE)
        return self._model.open(min(num_slots, max_positions))

    def _edge(self, texts: Sequence[str], chain: Chain) -> Edge:
        """The stopping rules of a chain's next hole, after the infills that it has so far."""
        hole = len(chain.infills)
        before = Parts(tuple(texts[: hole + 1])).join(chain.infills)
        after = texts[hole + 1] if len(texts) > 1 else ""
        prefix, suffix = (text.encode("utf-8", "surrogateescape") for text in (before, after))
        rules = self._edge_rules if len(texts) > 1 else ()
        edge = Edge(prefix, suffix, rules, self._syntax, chain.place, allows_tags=self._allows_tags)
        chain.place = edge.place
        return edge


def text_of(spelling: bytes) -> str:
    """The text of a fill's bytes: a character cut off at the end is left out, bad bytes are replaced."""
    return codecs.getincrementaldecoder("utf-8")("replace").decode(spelling)


def first_of_each(found: Sequence[Decoded]) -> list[Decoded]:
    """Of the fills with the same bytes only the first, in their order."""
    different: dict[bytes, Decoded] = {}
    for decoded in found:
        different.setdefault(decoded.spelling, decoded)
    return list(different.values())


def _leave_empty(chains: Sequence[Chain], num_fills: int, watch: Watch) -> None:
    """Give the chains nothing for the holes that the time did not suffice for."""
    for chain in chains:
        while len(chain.infills) < num_fills:
            chain.add(Decoded(b"", (), "time"))
            watch.on_fill()


def _with_the_same_infills(chains: Sequence[Chain]) -> list[list[Chain]]:
    groups: dict[tuple[str, ...], list[Chain]] = defaultdict(list)
    for chain in chains:
        groups[tuple(chain.infills)].append(chain)
    return list(groups.values())
