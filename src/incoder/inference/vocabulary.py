"""The vocabulary for generation: tokens by their bytes, the permitted next tokens, and the end tokens.

`TokenTable` sorts tokens by their bytes, for token healing: a hole that begins in the middle of a likely
token (`import nu<FILL>`) must be filled as if the text had not been cut there. The partial token is removed
from the end of the prefix, and the first tokens of the infill must spell its bytes again (the required
prefix). Knows no model and no text.
"""

import reprlib
from bisect import bisect_left
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from incoder.errors import IncoderError
from incoder.tokenizer.formats import InfillingFormat, choose_format
from incoder.tokenizer.text_tokenizer import TextTokenizer

TokenIds = NDArray[np.int64]


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


class Constrained(Protocol):
    """A sequence as far as its next token is constrained."""

    @property
    def required_left(self) -> bytes:
        """The bytes that the next tokens must spell before they are free."""

    @property
    def forbidden(self) -> bytes | None:
        """The bytes that the next token must not begin with, if any."""

    @property
    def allowed_ids(self) -> Sequence[int] | None:
        """The only ids that the next token may have, if it is restricted to some."""

    @property
    def refused_ids(self) -> Sequence[int]:
        """The ids that the next token must not have."""


class Vocabulary:
    """The tokens that may be generated, those that end an infill, and the bytes of each.

    `layout` is by default the infilling format that the tokenizer's special tokens imply.
    """

    def __init__(self, tokenizer: TextTokenizer, layout: InfillingFormat | None = None) -> None:
        layout = layout or choose_format(tokenizer)
        self.tokenizer = tokenizer
        self.table = TokenTable(tokenizer)
        self.layout = layout
        self.end_ids = layout.end_of_infill_ids
        self._biases: dict[tuple[torch.device, int], Tensor] = {}

    def permitted(self, logits_BV: Tensor, sequences: Sequence[Constrained]) -> Tensor:
        """Return the logits, with minus infinity for tokens that must not come next in a sequence.

        A token must spell a sequence's required bytes, must not begin with its forbidden bytes, must be one
        of its allowed ids if it has some, and none of its refused ones.

        Raises:
            IncoderError: none of the allowed tokens spells the required bytes.
        """
        permitted_BV = logits_BV + self.bias_for(logits_BV)
        for index, sequence in enumerate(sequences):
            if sequence.required_left:
                allowed = torch.from_numpy(self.table.allowed_after(sequence.required_left)).to(
                    logits_BV.device
                )
                permitted_BV[index] = -torch.inf
                permitted_BV[index, allowed] = logits_BV[index, allowed]
            elif sequence.forbidden:
                forbidden = torch.from_numpy(self.table.beginning_with(sequence.forbidden)).to(
                    logits_BV.device
                )
                permitted_BV[index, forbidden] = -torch.inf
            if sequence.allowed_ids is not None:
                permitted_BV[index] = self._only(sequence, permitted_BV[index])
            if sequence.refused_ids:
                refused = torch.tensor(sequence.refused_ids, device=logits_BV.device)
                permitted_BV[index, refused] = -torch.inf
        return permitted_BV

    def bias_for(self, logits_BV: Tensor) -> Tensor:
        """Return minus infinity for tokens that are never generated, else zero; cached by device."""
        key = (logits_BV.device, logits_BV.shape[1])
        if key not in self._biases:
            bias_V = torch.zeros(logits_BV.shape[1])
            bias_V[sorted(self.layout.never_generated_ids)] = -torch.inf
            bias_V[self.tokenizer.vocab_size :] = -torch.inf  # some checkpoints pad their vocabulary
            self._biases[key] = bias_V.to(logits_BV.device)
        return self._biases[key]

    def _only(self, sequence: Constrained, permitted_V: Tensor) -> Tensor:
        ids = torch.tensor(sequence.allowed_ids, device=permitted_V.device)
        only_V = torch.full_like(permitted_V, -torch.inf)
        only_V[ids] = permitted_V[ids]
        if not bool((only_V > -torch.inf).any()):
            required = sequence.required_left
            needed = f", and the infill must begin with {required!r}" if required else ""
            remedy = ", or set num_tail_lines=0 and token_healing=False" if required else ""
            raise IncoderError(
                f"allowed_first_ids {reprlib.repr(list(sequence.allowed_ids or ()))} has no token that may "
                f"come first{needed}; allow another one{remedy}"
            )
        return only_V
