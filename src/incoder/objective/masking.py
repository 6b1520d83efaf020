"""Causal masking of one block of text: spans are cut out and moved to its end (paper, section 2.1).

Token ids in, token ids out. spans.py, lines.py and span_kinds/ draw the spans, encoded_text.py cuts the text,
and the tokenizer's infilling_format.py lays out the result. Knows no windows.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from incoder.config import Recipe
from incoder.objective import spans as rules
from incoder.objective.encoded_text import EncodedText
from incoder.objective.lines import LineSpan, line_spans
from incoder.objective.span_kinds.mixture import SpanKind, mixed_spans
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer

Weight = Annotated[float, Field(gt=0.0, le=1e6)]


class MaskingConfig(Recipe):
    """How documents are masked; the defaults are the paper's."""

    renamed: ClassVar[Mapping[str, str]] = {
        "edges": "span_boundaries",
        "num_lead_lines": "num_tail_lines",
        "vary_lead_lines": "vary_tail_lines",
    }

    rule: Literal["paper", "released-code"] = "paper"
    # Spans in a block: a Poisson number, drawn again while it is 0, or a geometric one with this mean.
    mean_spans: float = Field(1.0, gt=0.0, le=64.0)
    span_counts: Literal["poisson", "geometric"] = "poisson"
    # The share of blocks that lose nothing. Bavarian et al.: with 0.1 masking costs nothing left to right.
    plain_rate: float = Field(0.0, ge=0.0, le=1.0)
    # Bavarian et al.: spans that end inside tokens teach infilling at a cursor inside a word (0.32 against
    # 0.10 on random spans, at 411M).
    span_boundaries: Literal["token", "character"] = "token"
    # The share of masked blocks whose spans are lines (lines.py) or of `span_kinds`, not uniform in length.
    line_span_rate: float = Field(0.0, ge=0.0, le=1.0)
    # The mean of the geometric number of lines in such a span: at 2.0 half of them are one line, at 1.25 four
    # of five.
    mean_span_lines: float = Field(2.0, ge=1.0, le=64.0)
    # Lines in the prefix tail of such a span, the beginning of its own first line counted; its sentinel is
    # repeated where the tail ends.
    num_tail_lines: int = Field(0, ge=0, le=64)
    # The kinds of these spans and their weights, such as {lines = 2.0, arguments = 1.0}; without any, all are
    # lines, whose tails may begin directly after another span.
    span_kinds: dict[SpanKind, Weight] = Field(default_factory=dict)
    # Draw the number of tail lines evenly from 1 to num_tail_lines for each block, so that the model knows
    # short tails as well as long ones.
    vary_tail_lines: bool = False
    # Learn from the infills alone, and nothing left to right (recipes/ablation/).
    infills_alone: bool = False
    # Of models of other families, whose blocks lose one span each (fill_in_the_middle.py): the share of
    # blocks with the suffix first, if the family knows that order.
    spm_rate: float = Field(0.5, ge=0.0, le=1.0)


class Masker:
    """Masks blocks as `config` says."""

    def __init__(
        self, config: MaskingConfig, infilling_format: CausalMaskingFormat, tokenizer: Tokenizer
    ) -> None:
        self._config = config
        self.infilling_format = infilling_format
        self._tokenizer = tokenizer
        self._draw_spans = {"paper": rules.uniform_length_spans, "released-code": rules.released_code_spans}

    def draw_num_spans(self, rng: np.random.Generator) -> int:
        """How many spans the next block has; 0 leaves it as it is."""
        if rng.random() < self._config.plain_rate:
            return 0
        if self._config.span_counts == "geometric":
            return rules.geometric(self._config.mean_spans, rng)
        if self._config.rule == "paper":
            return rules.truncated_poisson(self._config.mean_spans, rng)
        return rules.clamped_poisson(self._config.mean_spans, rng)

    def mask(
        self,
        token_ids: NDArray[np.integer],
        num_spans: int,
        rng: np.random.Generator,
        *,
        continues: bool = False,
    ) -> list[int]:
        """Cut `num_spans` spans out of a block, or fewer if it is too short.

        A document start stays first. The extra sentinel shows that the document `continues` after the block.

        Raises:
            IncoderError: a special token in the text.
        """
        if num_spans == 0:
            return list(token_ids.tolist())
        has_start = len(token_ids) > 0 and token_ids[0] == self._tokenizer.document_start_id
        text = EncodedText(token_ids[int(has_start) :], self._tokenizer)
        spans = self._spans(text, min(num_spans, rules.MAX_SPANS - continues), rng)
        cuts = [0, *(cut for span in spans for cut in span), int(text.token_borders[-1])]
        parts = text.cut(cuts)  # kept, tail, infill, kept, tail, infill, …, kept
        if has_start:
            parts[0].insert(0, self._tokenizer.document_start_id)
        spans_with_tails = [
            [*tail, *self.infilling_format.hole_start(number), *infill] if tail else infill
            for number, (tail, infill) in enumerate(zip(parts[1::3], parts[2::3], strict=True))
        ]
        return self.infilling_format.write(parts[::3], spans_with_tails, continues=continues)

    def _spans(self, text: EncodedText, num_spans: int, rng: np.random.Generator) -> list[LineSpan]:
        borders = text.token_borders if self._config.span_boundaries == "token" else text.character_borders
        length = len(borders) - 1
        if length == 0:
            return []
        if rng.random() < self._config.line_span_rate:
            num_tail_lines = self._config.num_tail_lines
            if self._config.vary_tail_lines and num_tail_lines:
                num_tail_lines = int(rng.integers(1, num_tail_lines + 1))
            draw = line_spans
            if self._config.span_kinds:
                draw = partial(mixed_spans, weights=self._config.span_kinds)
            mean_lines = self._config.mean_span_lines
            spans = draw(num_spans, text.data, rng, mean_lines=mean_lines, num_tail_lines=num_tail_lines)
            return at_borders(spans, borders)
        uniform = self._draw_spans[self._config.rule](min(num_spans, length), length, rng)
        at_bytes = [(int(borders[start]), int(borders[end])) for start, end in uniform]
        return [LineSpan(start, start, end) for start, end in at_bytes]


def unmask(token_ids: Sequence[int], infilling_format: CausalMaskingFormat) -> list[int]:
    """Put the spans of a masked block back in their places.

    With boundaries between tokens the result is the ids that were masked; with boundaries inside tokens it is
    other ids with the same bytes.

    >>> import incoder, pathlib
    >>> tokenizer = Tokenizer.from_file(pathlib.Path(incoder.__file__).parent / "embedded" / "mini")
    >>> infilling_format = CausalMaskingFormat(tokenizer)
    >>> masker = Masker(MaskingConfig(), infilling_format, tokenizer)
    >>> token_ids = tokenizer.encode("def add(a, b):")
    >>> masked = masker.mask(np.array(token_ids), 1, np.random.default_rng(0))
    >>> unmask(masked, infilling_format) == token_ids
    True

    Raises:
        IncoderError: the ids are not a masked block.
    """
    kept, spans, _ = infilling_format.parse(token_ids)
    restored = list(kept[0])
    for number, (span, part) in enumerate(zip(spans, kept[1:], strict=True)):
        restored += (token_id for token_id in span if token_id not in infilling_format.hole_start(number))
        restored += part
    return restored


def at_borders(spans: Sequence[LineSpan], borders: NDArray[np.int64]) -> list[LineSpan]:
    """Extend spans to these borders. A span that then overlaps the one before, both in one token, goes."""
    if not spans:
        return []
    places = np.array(spans)
    starts = borders[np.searchsorted(borders, places[:, :2], "right") - 1]
    ends = borders[np.searchsorted(borders, places[:, 2])]
    extended, previous_end = list[LineSpan](), 0
    for (start, tail_end), end in zip(starts.tolist(), ends.tolist(), strict=True):
        if start >= previous_end:
            extended.append(LineSpan(start, tail_end, end))
            previous_end = end
    return extended
