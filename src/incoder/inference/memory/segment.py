"""A sorted index over token sequences: every position, in the order of the tokens before it.

Sequences of token ids in, one block of bytes out that can be memory-mapped as it is: the tokens, reversed and
big-endian, so that the context of a position is a slice whose bytes compare as its tokens do; then the
positions, sorted by that context. All positions with the same last tokens before them are neighbours, so any
n-gram up to `MAX_ORDER` is found by bisection, and its continuations are one range. That is 6 bytes per token
(8 where the vocabulary has 65,535 tokens or more). Knows no files, no weights and no model.
"""

import mmap
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_ORDER = 8
MIN_ORDER = 2

TokenIds = NDArray[np.uint32]

_FEW = 16  # continuations that a loop counts faster than NumPy
_KEY_BITS = 64


@dataclass(frozen=True, slots=True)
class Matches:
    """The range of sorted positions whose last `order` tokens before them are those that were looked up."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Span:
    """Where one sequence is in a segment: the place of its last token, and its number of tokens."""

    start: int
    length: int


class Segment:
    """An index over token sequences; `spans` has one span per sequence, in the order that they came in.

    >>> segment, spans = Segment.build([[5, 6, 7, 8], [5, 6, 9]], vocab_size=10)
    >>> segment.num_tokens, segment.longest_match([1, 5, 6])
    (7, 2)
    >>> sorted(segment.continuations(segment.find([5, 6])).items())
    [(7, 1), (9, 1)]
    >>> segment.tokens_of(spans[1]).tolist()
    [5, 6, 9]
    """

    def __init__(self, data: bytes | mmap.mmap, num_places: int, num_positions: int, width: int) -> None:
        self._text = data  # slices of both kinds are bytes
        self._width = width
        self._positions = memoryview(data)[num_places * width :].cast("I")
        self._tokens_N = np.frombuffer(data, dtype=f">u{width}", count=num_places)
        self._positions_N = np.frombuffer(data, np.uint32, count=num_positions, offset=num_places * width)
        self.num_places = num_places
        self.num_positions = num_positions

    @classmethod
    def build(
        cls, sequences: Iterable[Sequence[int] | TokenIds], vocab_size: int
    ) -> tuple["Segment", list[Span]]:
        """Sort the positions of these sequences; each begins without a context."""
        data, num_positions, spans = sorted_index(sequences, vocab_size)
        width = token_width(vocab_size)
        return cls(data, (len(data) - 4 * num_positions) // width, num_positions, width), spans

    @property
    def data(self) -> bytes | mmap.mmap:
        """The bytes that a file of it has."""
        return self._text

    @property
    def num_tokens(self) -> int:
        """The tokens of all sequences."""
        return int((self._tokens_N != _separator(self._width)).sum())

    def tokens_of(self, span: Span) -> TokenIds:
        """The token ids of a sequence, first to last."""
        return self._tokens_N[span.start : span.start + span.length][::-1].astype(np.uint32)

    def sequences_in(self, span: Span) -> list[TokenIds]:
        """The sequences that a span of the reversed tokens holds whole."""
        tokens_N = self._tokens_N[span.start : span.start + span.length][::-1]
        separator = _separator(self._width)
        pieces = np.split(tokens_N, (tokens_N == separator).nonzero()[0])
        sequences = [piece[piece != separator].astype(np.uint32) for piece in pieces]
        return [sequence for sequence in sequences if len(sequence)]

    def longest_match(self, context: Sequence[int]) -> int:
        """How many tokens at the end of `context` are before some position, `MAX_ORDER` at most."""
        key = self._key(context[-MAX_ORDER:])
        place = bisect_left(self._positions, key, key=self._reader(len(key)))
        best = 0
        for neighbour in (place - 1, place):
            if 0 <= neighbour < self.num_positions:
                best = max(best, self._num_equal(self._positions[neighbour], key))
        return best

    def find(self, tokens: Sequence[int]) -> Matches:
        """The positions that have exactly these tokens before them, `MAX_ORDER` at most."""
        key = self._key(tokens)
        read = self._reader(len(key))
        start = bisect_left(self._positions, key, key=read)
        return Matches(start, bisect_right(self._positions, key, start, key=read))

    def continuations(self, matches: Matches) -> Counter[int]:
        """How often each token comes at these positions."""
        positions_N = self._positions_N[matches.start : matches.end]
        next_ids_N = self._tokens_N[positions_N]
        if len(next_ids_N) <= _FEW:
            return Counter(next_ids_N.tolist())
        counts_V = np.bincount(next_ids_N.astype(np.intp))
        ids_K = counts_V.nonzero()[0]
        return Counter(dict(zip(ids_K.tolist(), counts_V[ids_K].tolist(), strict=True)))

    def places(self, matches: Matches) -> NDArray[np.uint32]:
        """Where these positions are in the reversed tokens."""
        return self._positions_N[matches.start : matches.end]

    def token_at(self, place: int) -> int:
        """The token at a place of the reversed tokens."""
        return int(self._tokens_N[place])

    def following(self, place: int, max_num_tokens: int) -> list[int]:
        """The tokens of a sequence from this place on, the token at it first."""
        before_N = self._tokens_N[max(0, place - max_num_tokens + 1) : place + 1][::-1]
        tokens: list[int] = before_N.tolist()
        separator = _separator(self._width)
        return tokens[: tokens.index(separator)] if separator in tokens else tokens

    def _key(self, tokens: Sequence[int]) -> bytes:
        return np.array(tokens[::-1], dtype=f">u{self._width}").tobytes()

    def _reader(self, num_bytes: int) -> Callable[[int], bytes]:
        """A function from a position to the bytes of the tokens before it."""
        text, width = self._text, self._width

        def read(position: int) -> bytes:
            start = (position + 1) * width
            return text[start : start + num_bytes]

        return read

    def _num_equal(self, position: int, key: bytes) -> int:
        width = self._width
        found = self._reader(len(key))(position)
        for number in range(len(key) // width):
            here = slice(number * width, (number + 1) * width)
            if found[here] != key[here]:
                return number
        return len(key) // width


def token_width(vocab_size: int) -> int:
    """Bytes per token: one value more than the vocabulary has is needed to separate sequences."""
    return 2 if vocab_size < 1 << 16 else 4


def sorted_index(
    sequences: Iterable[Sequence[int] | TokenIds], vocab_size: int
) -> tuple[bytes, int, list[Span]]:
    """The bytes of a segment, the number of its positions, and the span of each sequence."""
    width = token_width(vocab_size)
    separator = np.array([_separator(width)], dtype=f"u{width}")
    pieces, spans, place = [separator], list[Span](), 1
    for sequence in sequences:
        tokens = np.asarray(sequence, dtype=f"u{width}")[::-1]
        spans.append(Span(place, len(tokens)))
        pieces += (tokens, separator)
        place += len(tokens) + 1
    if place * width % 4:
        pieces.append(separator)  # the positions that follow are then aligned
    tokens_N = np.concatenate(pieces)
    padding = np.full(MAX_ORDER + 1, separator[0], dtype=tokens_N.dtype)
    padded = np.concatenate((tokens_N, padding))
    is_token_N = padded != separator
    num = len(tokens_N)
    has_context_N = is_token_N[:num].copy()
    for offset in range(1, MIN_ORDER + 1):
        has_context_N &= is_token_N[offset : num + offset]
    positions_N = has_context_N.nonzero()[0].astype(np.uint32)
    keys = _sort_keys(padded, num, vocab_size)
    order_N = np.lexsort([key_N[positions_N] for key_N in reversed(keys)])
    sorted_N = positions_N[order_N]
    data = tokens_N.astype(f">u{width}").tobytes() + sorted_N.astype(np.uint32).tobytes()
    return data, len(sorted_N), spans


def _sort_keys(padded: NDArray[np.unsignedinteger], num: int, vocab_size: int) -> list[NDArray[np.uint64]]:
    """The `MAX_ORDER` tokens before each place as a few integers that compare as the tokens do."""
    bits = max(1, vocab_size.bit_length())  # the separator becomes `vocab_size`, more than any token
    per_key = _KEY_BITS // bits
    small_N = np.minimum(padded, vocab_size).astype(np.uint64)
    keys = []
    for first in range(1, MAX_ORDER + 1, per_key):
        key_N = np.zeros(num, dtype=np.uint64)
        for offset in range(first, min(first + per_key, MAX_ORDER + 1)):
            key_N <<= np.uint64(bits)
            key_N |= small_N[offset : num + offset]
        keys.append(key_N)
    return keys


def _separator(width: int) -> int:
    return (1 << (8 * width)) - 1
