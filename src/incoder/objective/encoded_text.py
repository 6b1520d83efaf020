"""A tokenized text that can be cut at any byte; only the lines that a cut divides are encoded again.

Knows the tokenizer and its rule for line ends (no token crosses one), and no spans or sentinels.
"""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from incoder.errors import IncoderError
from incoder.tokenizer.tokenizer import Tokenizer


class EncodedText:
    """A text as token ids, none of them special; positions in it are byte offsets.

    `token_borders[i]` is where token i starts; the last border is the length of the text.

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
        """The positions between characters: all but those before a continuation byte of UTF-8."""
        return character_borders(self.data)

    def cut(self, cuts: Sequence[int]) -> list[list[int]]:
        """Return the token ids between each two neighbouring cuts, which are byte offsets in rising order.

        If a cut is inside a token, its line (the text between two runs of line ends) is encoded again on each
        side of the cut. All other tokens stay: BPE merges do not depend on what is beyond a line end.
        """
        borders, ids = self.token_borders, self._token_ids
        following = np.searchsorted(borders, cuts)  # the first token that starts at the cut or after it
        is_inside = borders[following] != cuts
        if not is_inside.any():
            return [ids[start:end].tolist() for start, end in pairwise(following.tolist())]
        parts = []
        places = zip(cuts, following.tolist(), is_inside.tolist(), strict=True)
        for (start, next_token, cuts_start), (end, end_token, cuts_end) in pairwise(places):
            part: list[int] = []
            if cuts_start:
                next_token = self._line_end(next_token)
                line_end = min(end, int(borders[next_token]))
                part = self._tokenizer.encode_bytes(self.data[start:line_end])
            if cuts_end and next_token < end_token:
                line_start = max(next_token, self._line_start(end_token - 1))
                part += ids[next_token:line_start].tolist()
                part += self._tokenizer.encode_bytes(self.data[borders[line_start] : end])
            elif not cuts_end:
                part += ids[next_token:end_token].tolist()
            parts.append(part)
        return parts

    @cached_property
    def _line_borders(self) -> NDArray[np.int64]:
        """The numbers of tokens that start a run of line ends or the text between two runs; and the end."""
        is_line_end = self._is_line_end[self._token_ids]
        inner = np.flatnonzero(is_line_end[1:] != is_line_end[:-1]) + 1
        return np.concatenate(([0], inner, [len(is_line_end)]))

    def _line_start(self, token: int) -> int:
        return int(self._line_borders[np.searchsorted(self._line_borders, token, "right") - 1])

    def _line_end(self, token: int) -> int:
        """The first border at `token` or after it."""
        return int(self._line_borders[np.searchsorted(self._line_borders, token)])


def character_borders(data: bytes) -> NDArray[np.int64]:
    """Return the positions between the characters of a text in UTF-8, with its start and its end.

    >>> character_borders("aö".encode()).tolist()
    [0, 1, 3]
    """
    values = np.frombuffer(data, np.uint8)
    inner = np.flatnonzero((values[1:] & 0xC0) != 0x80) + 1
    return np.concatenate(([0], inner, [len(values)])) if len(values) else np.zeros(1, np.int64)


@lru_cache(maxsize=4)
def _byte_tables(tokenizer: Tokenizer) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For each token id, the number of its bytes, and whether all of them are line ends."""
    spellings = [tokenizer.token_bytes(token_id) for token_id in range(tokenizer.vocab_size)]
    lengths = np.array([len(spelling) for spelling in spellings])
    return lengths, np.array([not spelling.strip(b"\r\n") for spelling in spellings])
