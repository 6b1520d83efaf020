"""The tokenizer that generation uses, InCoder's or another family's (a Protocol)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol


class TextTokenizer(Protocol):
    """Text or bytes to ids, and back to the same bytes. Special tokens in a text are text."""

    @property
    def vocab_size(self) -> int:
        """One more than the highest id."""

    @property
    def special_ids(self) -> Mapping[str, int]:
        """The special tokens by name."""

    @property
    def start_ids(self) -> tuple[int, ...] | None:
        """The tokens that the family's own tokenizer puts before a text, or None if its file does not say."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of a piece of a text; lone surrogates (`surrogateescape`) encode as their bytes.

        Raises:
            IncoderError: a lone surrogate that represents no byte.
        """

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text, in less time."""

    def encode_start(self, text: str) -> list[int]:
        """Return the ids of the first piece of a document, which some families spell differently."""

    def encode_bytes(self, data: bytes) -> list[int]:
        """Return the ids of any bytes; for valid UTF-8, the ids of the text."""

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes of one id in the middle of a text; a special token has none."""

    def decode_bytes(self, token_ids: Iterable[int]) -> bytes:
        """Return the bytes of these ids."""

    def decode(self, token_ids: Iterable[int], errors: str = "replace") -> str:
        """Return the text of these ids; `errors` as in `bytes.decode`."""


class TrainingTokenizer(TextTokenizer, Protocol):
    """A tokenizer that corpora are encoded with and models are trained with."""

    @property
    def fingerprint(self) -> str:
        """A digest that is equal for tokenizers with equal ids."""

    @property
    def pad_id(self) -> int:
        """The id at positions without a token; none attends to it, and it is never a target."""
