"""Fill-in-the-middle: blocks of documents in the format of another family, one span of each written last.

A block with its span is exactly the prompt that inference writes for the hole, the infill, and the token that
ends it. The span is drawn by the settings of causal masking: uniform in length between characters (Bavarian
et al., arXiv 2207.14255), or of lines and other kinds. Documents are cut into blocks first, which those
authors call context-level. Knows no rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from incoder.objective.encoded_text import character_borders
from incoder.objective.lines import LineSpan, line_spans
from incoder.objective.masking import MaskingConfig, at_borders
from incoder.objective.span_kinds.mixture import mixed_spans
from incoder.objective.spans import uniform_length_spans
from incoder.tokenizer.fill_in_the_middle import FillInTheMiddleFormat
from incoder.tokenizer.text_tokenizer import TextTokenizer

_SPARE = 16  # tokens: a block's marks, and what cutting its text inside tokens usually costs


@dataclass(frozen=True, slots=True)
class Block:
    """The tokens of a block. Its infill, with the end, begins at `infill_start`; a plain block has none."""

    token_ids: list[int]
    infill_start: int


class FillInTheMiddle:
    """Writes blocks in a family's formats: PSM, and SPM where the family knows it."""

    def __init__(
        self, config: MaskingConfig, formats: Sequence[FillInTheMiddleFormat], tokenizer: TextTokenizer
    ) -> None:
        self._config = config
        self._formats = tuple(formats)
        self._tokenizer = tokenizer

    def blocks(self, document: NDArray[np.integer], window: int, rng: np.random.Generator) -> Iterator[Block]:
        """Yield the blocks of a document, each of at most `window` tokens."""
        start = 0
        while start < len(document):
            size = min(max(1, window - _SPARE), len(document) - start)
            block = self.block(document[start : start + size], rng)
            while len(block.token_ids) > window and size > 1:
                size = max(1, size - (len(block.token_ids) - window))
                block = self.block(document[start : start + size], rng)
            if len(block.token_ids) <= window:
                yield block
            start += size

    def block(self, token_ids: NDArray[np.integer], rng: np.random.Generator) -> Block:
        """Cut a span out of a text and write the block, or leave it plain."""
        data = self._tokenizer.decode_bytes(token_ids.tolist())
        is_plain = rng.random() < self._config.plain_rate
        is_suffix_first = rng.random() < self._config.spm_rate
        infilling_format = self._formats[-1 if is_suffix_first else 0]
        span = None if is_plain else self._span(token_ids, data, rng)
        if span is None:
            plain = infilling_format.prompt([self._tokenizer.encode_start(_text(data))])
            return Block(plain, len(plain))
        prefix, infill, suffix = data[: span.start], data[span.start : span.end], data[span.end :]
        prompt = infilling_format.prompt(
            [self._tokenizer.encode_start(_text(prefix)), self._tokenizer.encode_bytes(suffix)]
        )
        end = infilling_format.end_of_infill_id
        return Block([*prompt, *self._tokenizer.encode_bytes(infill), end], len(prompt))

    def _span(self, token_ids: NDArray[np.integer], data: bytes, rng: np.random.Generator) -> LineSpan | None:
        borders = character_borders(data)
        if self._config.span_boundaries == "token":
            sizes = [len(self._tokenizer.token_bytes(token_id)) for token_id in token_ids.tolist()]
            borders = np.cumsum([0, *sizes])
        if rng.random() < self._config.line_span_rate:
            mean_lines, kinds = self._config.mean_span_lines, self._config.span_kinds
            if kinds:
                spans = mixed_spans(1, data, rng, weights=kinds, mean_lines=mean_lines)
            else:
                spans = line_spans(1, data, rng, mean_lines=mean_lines)
            return next(iter(at_borders(spans, borders)), None)
        if len(borders) < 2:
            return None
        [(start, end)] = uniform_length_spans(1, len(borders) - 1, rng)
        return LineSpan(int(borders[start]), int(borders[start]), int(borders[end]))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
