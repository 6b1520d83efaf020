"""Deduplication in one pass with a Bloom filter, as in the paper (section 3.1).

Of several duplicates the first in the stream stays, so that the order decides, and one process sees all
documents. A document is taken for a duplicate by mistake at most at the rate that the filter is sized for.
"""

from typing import Any

from incoder.extras import missing_extra

DUPLICATE = "duplicate"


class SeenKeys:
    """Which keys came by, in a fixed number of bytes: 5.4 for each expected one at an error rate of 1e-9.

    Keys are 16 bytes as random as a digest's.
    """

    def __init__(self, expected_documents: int, error_rate: float) -> None:
        self._filter = _rbloom().Bloom(expected_documents, error_rate, _as_number)

    def add(self, key: bytes) -> bool:
        """Whether the key is new: False for one that came by, and nearly always True for others."""
        if key in self._filter:
            return False
        self._filter.add(key)
        return True


def _as_number(key: bytes) -> int:
    """The filter wants a signed integer of 128 bits, and the key is one already."""
    return int.from_bytes(key, signed=True)


def _rbloom() -> Any:
    try:
        import rbloom
    except ImportError as error:
        raise missing_extra("deduplication in one pass needs rbloom", "corpus") from error
    return rbloom
