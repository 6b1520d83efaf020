"""The left edge of a hole: tokens that start before it and end inside it.

A hole that begins in the middle of what would be one token (`import nu<FILL>`) must fill as if the cut were
not there. The partial token is held back from the prefix, and the fill's first tokens must spell it out
again before they are free. Works on bytes and token ids; knows no model and no text.
"""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from incoder.tokenizer.text_tokenizer import TextTokenizer

TokenIds = NDArray[np.int64]


class TokenTable:
    """The vocabulary's tokens sorted by their bytes: which begin with these bytes, which are their beginning.

    Special tokens are not in it.
    """

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer
        entries = sorted(
            (spelling, token_id)
            for token_id in range(tokenizer.vocab_size)
            if (spelling := tokenizer.token_bytes(token_id))
        )
        self._spellings = [spelling for spelling, _ in entries]
        self._token_ids = np.array([token_id for _, token_id in entries], dtype=np.int64)
        self._max_num_bytes = max(map(len, self._spellings), default=0)

    def extends(self, data: bytes) -> bool:
        """Whether some token begins with `data` and goes on after it."""
        if len(data) >= self._max_num_bytes:
            return False
        start, end = self._range(data)
        while start < end and len(self._spellings[start]) == len(data):
            start += 1
        return start < end

    def allowed_after(self, forced: bytes) -> TokenIds:
        """The tokens that may come next while `forced` must be spelled out.

        Those that begin with all of `forced`, and those that are a beginning of it.
        """
        start, end = self._range(forced)
        shorter = [self._with_bytes(forced[:length]) for length in range(1, len(forced))]
        return np.concatenate([self._token_ids[start:end], *shorter])

    def beginning_with(self, spelling: bytes) -> TokenIds:
        """The tokens whose bytes begin with `spelling`."""
        start, end = self._range(spelling)
        return self._token_ids[start:end]

    def hold_back(self, token_ids: Sequence[int], num_bytes: int) -> tuple[list[int], bytes]:
        """The prefix's tokens without those that may be partial, and the bytes that the latter spell.

        The cut is the earliest place, within the last `num_bytes` bytes, from where some token would cross
        the edge; then moved back to where a token of the prefix begins, so that the rest is tokenized as
        before.
        """
        num_kept, held = len(token_ids), b""
        crossing = self._num_bytes_before_the_edge(token_ids, num_bytes)
        while len(held) < crossing:
            spelling = self._tokenizer.token_bytes(token_ids[num_kept - 1])
            if len(spelling) + len(held) > num_bytes:
                break
            num_kept, held = num_kept - 1, spelling + held
        return list(token_ids[:num_kept]), held

    def _num_bytes_before_the_edge(self, token_ids: Sequence[int], num_bytes: int) -> int:
        """The most bytes that a token which crosses the edge may have before it."""
        tail = self._tokenizer.decode_bytes(token_ids[-self._max_num_bytes :])
        longest = min(num_bytes, self._max_num_bytes - 1, len(tail))
        lengths = (length for length in range(longest, 0, -1) if self.extends(tail[-length:]))
        return next(lengths, 0)

    def _with_bytes(self, spelling: bytes) -> TokenIds:
        start = bisect_left(self._spellings, spelling)
        end = start
        while end < len(self._spellings) and self._spellings[end] == spelling:
            end += 1
        return self._token_ids[start:end]

    def _range(self, prefix: bytes) -> tuple[int, int]:
        """Where in the sorted table the tokens are that begin with `prefix`."""
        start = bisect_left(self._spellings, prefix)
        end = bisect_left(
            self._spellings, True, lo=start, key=lambda spelling: not spelling.startswith(prefix)
        )
        return start, end
