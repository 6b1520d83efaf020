"""The vocabulary for generation: which tokens may come next, as logits.

Adds to the tokens of a text vocabulary (text_vocabulary.py) those that a model never generates, and those
that the required prefix of a token-healed hole permits. Knows no model and no text.
"""

import reprlib
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from incoder.errors import IncoderError
from incoder.inference.text_vocabulary import TextVocabulary
from incoder.tokenizer.formats import InfillingFormat
from incoder.tokenizer.text_tokenizer import TextTokenizer


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


class Vocabulary(TextVocabulary):
    """The tokens that may be generated, those that end an infill, and the bytes of each."""

    def __init__(self, tokenizer: TextTokenizer, layout: InfillingFormat | None = None) -> None:
        super().__init__(tokenizer, layout)
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
