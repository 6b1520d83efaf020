"""Deduplication in one pass with a Bloom filter, as in the paper (section 3.1).

The first of several duplicates is kept, so the order decides, and one process sees all
documents. A document is taken for a duplicate by mistake at most at the rate that the filter is sized for.
"""

from typing import Any

from incoder.extras import missing_extra

DUPLICATE = "duplicate"


class SeenKeys:
    """The set of keys seen so far, in a fixed size: 5.4 bytes per expected key at an error rate of 1e-9.

    Keys are 16 bytes as random as a digest's.
    """

    def __init__(self, expected_documents: int, error_rate: float) -> None:
        self._filter = _rbloom().Bloom(expected_documents, error_rate, _as_number)

    def add(self, key: bytes) -> bool:
        """Add a key; return whether it is new: False for a key seen before, nearly always True for others."""
        if key in self._filter:
            return False
        self._filter.add(key)
        return True


def _as_number(key: bytes) -> int:
    """The key as the signed integer of 128 bits that the filter takes as a hash."""
    return int.from_bytes(key, signed=True)


def _rbloom() -> Any:
    try:
        import rbloom
    except ImportError as error:
        raise missing_extra("deduplication in one pass needs rbloom", "corpus") from error
    return rbloom
