"""A text as its tokens that can be cut at any byte, encoding only the cut lines again.

Knows the tokenizer and its line ends (no token crosses one), no spans and no sentinels.
"""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from incoder.errors import IncoderError
from incoder.tokenizer.tokenizer import Tokenizer


class EncodedText:
    """Tokens without special ones; positions are byte offsets.

    `token_borders[i]` is where token i starts; the last is the length of the text.

    Raises:
        IncoderError: a special token among the ids.
    """

    def __init__(self, token_ids: NDArray[np.integer], tokenizer: Tokenizer) -> None:
        self._token_ids = token_ids
        self._tokenizer = tokenizer
        lengths, self._is_line_end = _byte_tables(tokenizer)
        token_lengths = lengths[token_ids]
        if not token_lengths.all():
            special = tokenizer.special_token(int(token_ids[token_lengths == 0][0]))
            raise IncoderError(f"a text to mask holds no special tokens but the first, got {special}")
        self.token_borders: NDArray[np.int64] = np.concatenate(([0], np.cumsum(token_lengths)))

    @cached_property
    def data(self) -> bytes:
        return self._tokenizer.decode_bytes(self._token_ids.tolist())

    @cached_property
    def character_borders(self) -> NDArray[np.int64]:
        """Positions that are not before a continuation byte of UTF-8; of any other bytes, a subset of all."""
        data = np.frombuffer(self.data, np.uint8)
        inner = np.flatnonzero((data[1:] & 0xC0) != 0x80) + 1
        return np.concatenate(([0], inner, [len(data)])) if len(data) else np.zeros(1, np.int64)

    def cut(self, edges: Sequence[int]) -> list[list[int]]:
        """The token ids between each two neighbouring edges (byte offsets in rising order).

        Where an edge is inside a token, its line (all between two runs of line ends) is encoded again on each
        side of the edge. Everything else stays: BPE merges do not look across a token border.
        """
        borders, ids = self.token_borders, self._token_ids
        following = np.searchsorted(borders, edges)  # the first token that starts at the edge or after it
        is_inside = borders[following] != edges
        if not is_inside.any():
            return [ids[start:end].tolist() for start, end in pairwise(following.tolist())]
        pieces = []
        places = zip(edges, following.tolist(), is_inside.tolist(), strict=True)
        for (start, next_token, cuts_start), (end, end_token, cuts_end) in pairwise(places):
            piece: list[int] = []
            if cuts_start:
                next_token = self._line_end(next_token)
                line_end = min(end, int(borders[next_token]))
                piece = self._tokenizer.encode_bytes(self.data[start:line_end])
            if cuts_end and next_token < end_token:
                line_start = max(next_token, self._line_start(end_token - 1))
                piece += ids[next_token:line_start].tolist()
                piece += self._tokenizer.encode_bytes(self.data[borders[line_start] : end])
            elif not cuts_end:
                piece += ids[next_token:end_token].tolist()
            pieces.append(piece)
        return pieces

    @cached_property
    def _line_borders(self) -> NDArray[np.int64]:
        """The tokens at which a run of line ends, or what stands between two runs, begins; and the end."""
        is_line_end = self._is_line_end[self._token_ids]
        inner = np.flatnonzero(is_line_end[1:] != is_line_end[:-1]) + 1
        return np.concatenate(([0], inner, [len(is_line_end)]))

    def _line_start(self, token: int) -> int:
        return int(self._line_borders[np.searchsorted(self._line_borders, token, "right") - 1])

    def _line_end(self, token: int) -> int:
        """The border that is at `token` or after it."""
        return int(self._line_borders[np.searchsorted(self._line_borders, token)])


@lru_cache(maxsize=4)
def _byte_tables(tokenizer: Tokenizer) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For each id, the number of its bytes, and whether they are line ends."""
    spellings = [tokenizer.token_bytes(token_id) for token_id in range(tokenizer.vocab_size)]
    lengths = np.array([len(spelling) for spelling in spellings])
    return lengths, np.array([not spelling.strip(b"\r\n") for spelling in spellings])
