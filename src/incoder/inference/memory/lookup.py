"""The longest n-gram that is known of a context, over several segments, each with a weight.

The counts of the project have weight 1, and the open file's text weight 3. A segment of weight -1 subtracts
the files that must not be seen, so a file is left out exactly although it was indexed together with others.
Knows no files and no model.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incoder.inference.memory.segment import MAX_ORDER, MIN_ORDER, Matches, Segment, Span

_MAX_TRIED = 64  # positions that a draft is looked for at


@dataclass(frozen=True, slots=True)
class WeightedSegment:
    """A segment, how much each of its continuations counts, and the spans in it that must not be seen.

    `hidden` spans are in order of their start. They are subtracted by a segment of their own.
    """

    segment: Segment
    weight: int
    hidden: tuple[Span, ...] = ()

    def shows(self, place: int) -> bool:
        """Whether a place of the reversed tokens is outside of the hidden spans."""
        index = bisect_right(self.hidden, place, key=lambda span: span.start) - 1
        return index < 0 or place >= self.hidden[index].start + self.hidden[index].length


@dataclass(frozen=True, slots=True)
class Continuations:
    """The next tokens after a known context of `order` tokens, with their weighted counts."""

    order: int
    counts: Mapping[int, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def longest_continuations(
    segments: Sequence[WeightedSegment], context: Sequence[int]
) -> Continuations | None:
    """The continuations of the longest known end of `context` (2 to 8 tokens); None if none is known.

    >>> project, _ = Segment.build([[1, 2, 3, 4], [7, 3, 5]], vocab_size=9)
    >>> found = longest_continuations([WeightedSegment(project, 1)], [2, 3])
    >>> found.order, dict(found.counts)
    (2, {4: 1})
    """
    longest = max((one.segment.longest_match(context) for one in segments if one.weight > 0), default=0)
    for order in range(min(longest, len(context), MAX_ORDER), MIN_ORDER - 1, -1):
        counts = _counts(segments, context[-order:])
        if counts:
            return Continuations(order, counts)
    return None


def draft(segments: Sequence[WeightedSegment], context: Sequence[int], max_num_tokens: int) -> list[int]:
    """The text that follows `context` somewhere, where its most frequent continuation comes first.

    Of equally frequent ones the token with the lowest id counts, and of its places the first of the first
    segment that has one; nothing comes from hidden spans.
    """
    found = longest_continuations(segments, context)
    if found is None or max_num_tokens < 1:
        return []
    best = min(found.counts, key=lambda token_id: (-found.counts[token_id], token_id))
    for one in segments:
        if one.weight > 0:
            matches = one.segment.find(context[-found.order :])
            limited = Matches(matches.start, min(matches.end, matches.start + _MAX_TRIED))
            for place in one.segment.places(limited).tolist():
                if one.segment.token_at(place) == best and one.shows(place):
                    return one.segment.following(place, max_num_tokens)
    return []


def _counts(segments: Sequence[WeightedSegment], tokens: Sequence[int]) -> dict[int, int]:
    total = Counter[int]()
    for one in segments:
        for token_id, count in one.segment.continuations(one.segment.find(tokens)).items():
            total[token_id] += one.weight * count
    return {token_id: total[token_id] for token_id in sorted(total) if total[token_id] > 0}
