"""Deduplication in one pass with a Bloom filter, as in the paper (section 3.1).

Of several copies the first in the stream stays, so that the order decides, and one process sees all
documents. A document is taken for a copy by mistake at most at the rate that the filter is sized for.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Self

from incoder.corpus.deduplication.keys import document_key
from incoder.corpus.deduplication.settings import DeduplicationSettings
from incoder.corpus.source_file import Dropped, OnDrop
from incoder.document import Document
from incoder.errors import IncoderError

DUPLICATE = "duplicate"


class SeenKeys:
    """Which keys came by, in a fixed number of bytes: 5.4 for each expected one at an error rate of 1e-9.

    Keys are 16 bytes as random as a digest's.
    """

    def __init__(self, expected_documents: int, error_rate: float) -> None:
        self._filter = _rbloom().Bloom(expected_documents, error_rate, _as_number)

    @classmethod
    def from_bytes(cls, state: bytes) -> Self:
        """The filter as `to_bytes` gave it."""
        seen = cls.__new__(cls)
        seen._filter = _rbloom().Bloom.load_bytes(state, _as_number)
        return seen

    def to_bytes(self) -> bytes:
        """The state, to go on from later; the same in every process."""
        state: bytes = self._filter.save_bytes()
        return state

    def add(self, key: bytes) -> bool:
        """Whether the key is new: False for one that came by, and nearly always True for others."""
        if key in self._filter:
            return False
        self._filter.add(key)
        return True

    @property
    def num_bytes(self) -> int:
        """The memory that the filter takes."""
        return int(self._filter.size_in_bits) // 8


def deduplicated(
    documents: Iterable[Document],
    on_drop: OnDrop,
    settings: DeduplicationSettings = DeduplicationSettings(),  # noqa: B008 - frozen
) -> Iterator[Document]:
    """The documents whose key did not come by before."""
    seen = SeenKeys(settings.expected_documents, settings.error_rate)
    for document in documents:
        if seen.add(document_key(document)):
            yield document
        else:
            on_drop(Dropped(document.project, document.path, len(document.text.encode()), DUPLICATE))


def _as_number(key: bytes) -> int:
    """The filter wants a signed integer of 128 bits, and the key is one already."""
    return int.from_bytes(key, signed=True)


def _rbloom() -> Any:
    try:
        import rbloom
    except ImportError as error:
        raise IncoderError("deduplication in one pass needs rbloom: pip install 'incoder[corpus]'") from error
    return rbloom
