"""The vocabulary of texts: tokens by their bytes, for token healing, and the tokens that end an infill.

A hole that begins in the middle of a likely token (`import nu<FILL>`) must be filled as if the text had not
been cut there. The partial token is removed from the end of the prefix, and the first tokens of the infill
must spell its bytes again (the required prefix). Knows no model and no text. Imports no torch.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from incoder.tokenizer.formats import InfillingFormat, choose_format
from incoder.tokenizer.text_tokenizer import TextTokenizer

TokenIds = NDArray[np.int64]

_NUM_HEAD = 4  # bytes of a token by which it is left out


class TokenTable:
    """The tokens, without special ones, sorted by their bytes, for look-ups by the bytes they begin with."""

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
        """Whether some token begins with `data` and is longer."""
        if len(data) >= self._max_num_bytes:
            return False
        start, end = self._range(data)
        while start < end and len(self._spellings[start]) == len(data):
            start += 1
        return start < end

    def allowed_after(self, required: bytes) -> TokenIds:
        """Return the tokens that may come next while `required` must be spelled.

        They begin with all of `required`, or are a beginning of it.
        """
        start, end = self._range(required)
        shorter = [self._with_bytes(required[:length]) for length in range(1, len(required))]
        return np.concatenate([self._token_ids[start:end], *shorter])

    def beginning_with(self, spelling: bytes) -> TokenIds:
        """Return the tokens whose bytes begin with `spelling`."""
        start, end = self._range(spelling)
        return self._token_ids[start:end]

    def permitted(
        self, may_begin: Callable[[bytes], bool], is_permitted: Callable[[bytes], bool], max_num: int
    ) -> list[int] | None:
        """Return the tokens whose bytes are permitted; None if there are more than `max_num`.

        Where no permitted bytes begin as `may_begin` says, the tokens that begin so are not checked.
        """
        known = {b"": True}
        found: list[int] = []
        for spelling, token_id in zip(self._spellings, self._token_ids.tolist(), strict=True):
            for size in range(1, min(len(spelling), _NUM_HEAD) + 1):
                head = spelling[:size]
                if head not in known:
                    known[head] = known[head[:-1]] and may_begin(head)
            if known[spelling[:_NUM_HEAD]] and is_permitted(spelling):
                if len(found) == max_num:
                    return None
                found.append(token_id)
        return found

    def id_of(self, spelling: bytes) -> int | None:
        """Return the first token with exactly these bytes, or None."""
        found = self._with_bytes(spelling)
        return int(found[0]) if len(found) else None

    def split_required_prefix(self, token_ids: Sequence[int], num_bytes: int) -> tuple[list[int], bytes]:
        """Return the prefix's tokens without partial ones at its end, and the bytes of those (token healing).

        The cut is at the earliest place, within the last `num_bytes` bytes, from which some token would cross
        the start of the hole; then it moves back to the start of a token, so that the rest is tokenized as
        before.
        """
        num_kept, required = len(token_ids), b""
        crossing = self._num_bytes_before_the_hole(token_ids, num_bytes)
        while len(required) < crossing:
            spelling = self._tokenizer.token_bytes(token_ids[num_kept - 1])
            if len(spelling) + len(required) > num_bytes:
                break
            num_kept, required = num_kept - 1, spelling + required
        return list(token_ids[:num_kept]), required

    def _num_bytes_before_the_hole(self, token_ids: Sequence[int], num_bytes: int) -> int:
        """Return the largest number of bytes before the hole in a token that crosses the hole's start."""
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
        """Return the range of the sorted table whose tokens begin with `prefix`."""
        start = bisect_left(self._spellings, prefix)
        end = bisect_left(
            self._spellings, True, lo=start, key=lambda spelling: not spelling.startswith(prefix)
        )
        return start, end


class TextVocabulary:
    """The tokens, the infilling format, and the tokens that end an infill.

    `layout` is by default the infilling format that the tokenizer's special tokens imply.
    """

    def __init__(self, tokenizer: TextTokenizer, layout: InfillingFormat | None = None) -> None:
        layout = layout or choose_format(tokenizer)
        self.tokenizer = tokenizer
        self.table = TokenTable(tokenizer)
        self.layout = layout
        self.end_ids = layout.end_of_infill_ids
