"""What generation needs of any tokenizer, InCoder's or another family's (a Protocol)."""

from collections.abc import Iterable, Mapping
from typing import Protocol


class TextTokenizer(Protocol):
    """Text or bytes to ids, and back without losing a byte. Special tokens in a text are text."""

    @property
    def vocab_size(self) -> int:
        """One more than the highest id."""

    @property
    def special_ids(self) -> Mapping[str, int]:
        """The special tokens by name."""

    def encode(self, text: str) -> list[int]:
        """The ids of a piece of a text; lone surrogates (`surrogateescape`) stand for bytes.

        Raises:
            IncoderError: a lone surrogate that stands for no byte.
        """

    def encode_start(self, text: str) -> list[int]:
        """The same where the piece is what a document begins with, which some families spell differently."""

    def encode_bytes(self, data: bytes) -> list[int]:
        """The ids of any bytes; of valid UTF-8, those of its text."""

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of one id in the middle of a text, none for a special token."""

    def decode_bytes(self, token_ids: Iterable[int]) -> bytes:
        """The bytes of these ids."""

    def decode(self, token_ids: Iterable[int], errors: str = "replace") -> str:
        """The text of these ids; `errors` as in `bytes.decode`."""
