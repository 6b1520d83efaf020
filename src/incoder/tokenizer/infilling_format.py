"""THE infilling format of causal masking: written here, parsed here, and nowhere else.

Token ids in, token ids out (paper, section 2). m0, m1, … are the sentinels, EOM is the end-of-mask:

    training    K0 m0 K1 m1 … Kn [mn]  m0 S0 EOM  m1 S1 EOM …     Ki kept text, Si the span that was at mi
    prompt      start A m0 C m1 E m2   m0 → B EOM   m1 → D EOM    n holes; the last sentinel is the extra one

The extra sentinel, which has no span, says that the text continues after the last kept part. A span may begin
with the prefix tail, the last lines before the hole. Then its sentinel occurs a third time, between the tail
and the infill: m0 T0 m0 F0 EOM. The prefix tail is ours, not the paper's. Knows no text, no model and not how
spans are chosen.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from incoder.errors import IncoderError
from incoder.tokenizer.tokenizer import Tokenizer


class CausalMaskingFormat:
    """The format with the ids of one tokenizer.

    Parts and spans that are given contain no end-of-mask and no sentinels but those after prefix tails:
    `Tokenizer.encode` never produces any.

    >>> mask = CausalMaskingFormat(model.tokenizer)
    >>> [model.tokenizer.special_token(i) or i for i in mask.prompt([[10, 11], [12]])]
    ['<|endoftext|>', 10, 11, '<|mask:0|>', 12, '<|mask:1|>']
    """

    name = "causal-masking"
    reads_attributes = True
    reads_repositories = False  # documents were single files in training

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.document_start_id = tokenizer.document_start_id
        self._sentinels = tokenizer.sentinel_ids
        self.end_of_infill_id = tokenizer.end_of_mask_id
        self.end_of_infill_ids = frozenset({tokenizer.end_of_mask_id})
        self.never_generated_ids = frozenset(
            {
                *tokenizer.sentinel_ids,
                tokenizer.begin_of_sequence_id,
                tokenizer.pad_id,
                tokenizer.document_start_id,
                tokenizer.unknown_id,
            }
        )

    @property
    def max_num_holes(self) -> int:
        """The most holes in one prompt: one less than there are sentinels, for the extra sentinel."""
        return len(self._sentinels) - 1

    def prompt(self, parts: Sequence[Sequence[int]], *, is_start: bool = True) -> list[int]:
        """Return the document start and the parts, a sentinel after each; a single part has no sentinel.

        If the parts are not the start of a document but cut out of a long one, pass `is_start=False`: then
        there is no document start, as in the later blocks of a long document in training.

        Raises:
            IncoderError: more than `max_num_holes` holes.
        """
        num_holes = len(parts) - 1
        if num_holes > self.max_num_holes:
            raise IncoderError(f"at most {self.max_num_holes} holes can be filled at once, got {num_holes}")
        token_ids = [self.document_start_id, *parts[0]] if is_start else list(parts[0])
        for sentinel, part in zip(self._sentinels, parts[1:], strict=False):
            token_ids.append(sentinel)
            token_ids += part
        if num_holes:
            token_ids.append(self._sentinels[num_holes])
        return token_ids

    def hole_start(self, hole: int) -> list[int]:
        """Return the tokens before the infill of this hole (from 0), or before and after its prefix tail."""
        return [self._sentinels[hole]]

    def context(
        self, files: Mapping[str, str], path: str, repository: str, encode: Callable[[str], list[int]]
    ) -> tuple[list[int], str]:
        raise AssertionError(f"no context for {path} in {repository} of {files}, by {encode}")

    def write(
        self, kept: Sequence[Sequence[int]], spans: Sequence[Sequence[int]], *, continues: bool
    ) -> list[int]:
        """Write a document, or a block of one, from the kept parts and the spans that were cut out.

        `kept[i]` precedes `spans[i]`, so there is one kept part more. If `continues`, the document continues
        after this block, and the extra sentinel is written if there are spans. A document start is not added:
        if there is one, it is the first of the kept ids.

        Raises:
            IncoderError: more spans than there are sentinels.
        """
        num_spans = len(spans)
        assert len(kept) == num_spans + 1
        if num_spans + continues > len(self._sentinels):
            limit = len(self._sentinels) - continues
            raise IncoderError(f"at most {limit} spans can be cut out of a text, got {num_spans}")
        token_ids = list(kept[0])
        if not num_spans:
            return token_ids
        for sentinel, part in zip(self._sentinels, kept[1:], strict=False):
            token_ids.append(sentinel)
            token_ids += part
        if continues:
            token_ids.append(self._sentinels[num_spans])
        for sentinel, span in zip(self._sentinels, spans, strict=False):
            token_ids.append(sentinel)
            token_ids += span
            token_ids.append(self.end_of_infill_id)
        return token_ids

    def parse(self, token_ids: Sequence[int]) -> tuple[list[list[int]], list[list[int]], bool]:
        """Invert `write`: return its arguments kept, spans and continues.

        Raises:
            IncoderError: the ids are not in this format (cut off, or a sentinel is missing or out of order).

        >>> mask = CausalMaskingFormat(model.tokenizer)
        >>> mask.parse(mask.write([[10], [12]], [[11]], continues=True))
        ([[10], [12]], [[11]], True)
        """
        ids = np.asarray(token_ids, dtype=np.int64)
        is_end_of_mask = ids == self.end_of_infill_id
        positions = self._without_tail_ends(ids, np.flatnonzero(self.ignored_in_loss(ids) | is_end_of_mask))
        num_spans = int(is_end_of_mask.sum())
        continues = len(positions) > 3 * num_spans
        if not np.array_equal(ids[positions], self._marks(num_spans, continues)):
            raise IncoderError(
                f"not a masked document: with {num_spans} end-of-mask tokens it must have the sentinels 0 to "
                f"{num_spans - 1} in order (perhaps an extra one), and again each before its span"
            )
        first, *others = (piece.tolist() for piece in np.split(ids, positions))
        kept = [first, *(piece[1:] for piece in others[:num_spans])]  # each without the mark it begins with
        rest = [piece[1:] for piece in others[num_spans:]]
        if continues and rest.pop(0):
            raise IncoderError("not a masked document: tokens between the extra sentinel and the first span")
        if any(rest[1::2]):
            raise IncoderError("not a masked document: tokens after the end-of-mask of a span")
        return kept, rest[::2], continues

    def ignored_in_loss(self, token_ids: NDArray[np.integer]) -> NDArray[np.bool_]:
        """True at every sentinel: the model never learns to write one. It does learn the end-of-mask."""
        return (token_ids >= self._sentinels.start) & (token_ids < self._sentinels.stop)

    def _without_tail_ends(
        self, ids: NDArray[np.int64], positions: NDArray[np.integer]
    ) -> NDArray[np.integer]:
        """Return the positions of sentinels and end-of-masks, without the sentinels after prefix tails."""
        marks = ids[positions]
        ends = np.flatnonzero(marks == self.end_of_infill_id)
        is_repeated = np.zeros(len(marks), np.bool_)
        if len(ends):
            # An end-of-mask follows its span's sentinel; the first one follows all other sentinels, too.
            is_repeated[ends - 1] = np.diff(ends, prepend=-1) > 2
            first = marks[: ends[0]]
            is_repeated[ends[0] - 1] = np.count_nonzero(first == self._sentinels.start) > 2
        return positions[~is_repeated]

    def _marks(self, num_spans: int, continues: bool) -> list[int]:
        """Return the sentinels and end-of-masks of a document with `num_spans` spans, in order."""
        marks = list(self._sentinels[: num_spans + continues]) if num_spans else []
        for sentinel in self._sentinels[:num_spans]:
            marks += [sentinel, self.end_of_infill_id]
        return marks
