"""The words of a text, and its word n-grams as numbers, which deduplication and decontamination compare.

Words are runs of ASCII letters, digits and underscores; a byte of any other script counts as a letter,
whatever it is. With `bytes.translate` this is several times faster than a regular expression over text
(benchmarks/deduplication.py).
"""

import string
from collections.abc import Sequence
from typing import Any
from zlib import crc32

import numpy as np

Hashes = np.ndarray[tuple[int], np.dtype[np.uint64]]

_WORD_BYTES = frozenset((string.ascii_letters + string.digits + "_").encode()) | frozenset(range(128, 256))
_SEPARATED = bytes(byte if byte in _WORD_BYTES else 0x20 for byte in range(256))
_SEPARATED_LOWER = _SEPARATED.lower()
_FACTOR = 0x9E3779B97F4A7C15  # odd, with its bits well spread: 2**64 over the golden ratio


def words_of(text: str, lower: bool = False) -> list[bytes]:
    """The words in their order; with `lower`, ASCII letters are in lower case.

    >>> words_of("x_1 = F(y)"), words_of("F", lower=True)
    ([b'x_1', b'F', b'y'], [b'f'])
    """
    return text.encode("utf-8", "surrogatepass").translate(_SEPARATED_LOWER if lower else _SEPARATED).split()


def ngram_hashes(words: Sequence[bytes], n: int) -> Hashes:
    """A hash of each n-gram of words, the same in every process; none if there are fewer than `n` words."""
    num_ngrams = len(words) - n + 1
    if num_ngrams < 1:
        return np.empty(0, np.uint64)
    numbers = np.fromiter(map(crc32, words), np.uint64, len(words))
    hashes: np.ndarray[Any, np.dtype[np.uint64]] = np.zeros(num_ngrams, np.uint64)
    with np.errstate(over="ignore"):  # arithmetic is modulo 2**64
        for offset in range(n):
            hashes *= np.uint64(_FACTOR)
            hashes += numbers[offset : offset + num_ngrams]
        hashes ^= hashes >> np.uint64(31)  # so that the low bits depend on all words
        hashes *= np.uint64(_FACTOR)
        hashes ^= hashes >> np.uint64(29)
    return hashes
