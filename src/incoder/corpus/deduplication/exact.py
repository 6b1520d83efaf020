"""Exact deduplication that does not depend on the order, in two steps that any number of workers can share.

First each document leaves a signature of 40 bytes: its key, its stars and its position. Then duplicates are
found among the signatures alone: all of them, or those of one partition (`partition_of`). Of each set of
duplicates the one with the most stars stays; between equals, the one whose name has the lowest hash.

The key says what documents have in common that differ in nothing but spacing and punctuation (paper, section
3.1): the extension, the number of alphanumeric tokens and the MD5 of their sequence.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from incoder.corpus.text.languages import extension_of
from incoder.corpus.text.words import words_of
from incoder.document import Document

Signatures = np.ndarray[tuple[int], np.dtype[np.void]]  # of SIGNATURE
Duplicates = np.ndarray[tuple[int], np.dtype[np.void]]  # of DUPLICATE_ROW

SIGNATURE = np.dtype(
    [("key", "<u8"), ("key_rest", "<u8"), ("stars", "<i8"), ("tie", "<u8"), ("position", "<u8")]
)
# The positions of a document to drop and of its kept duplicate.
DUPLICATE_ROW = np.dtype([("position", "<u8"), ("kept", "<u8")])

UNKNOWN_STARS = -1


def token_key(text: str, extension: str, words: Sequence[bytes] | None = None) -> bytes:
    """The paper's key; its length depends on the extension's. `words` are the text's, if they are known.

    >>> token_key("f(x)", ".py") == token_key("f (\\n x )", ".py") != token_key("f(x)", ".js")
    True
    """
    tokens = words_of(text) if words is None else words
    digest = hashlib.md5(b" ".join(tokens), usedforsecurity=False).digest()
    return digest + len(tokens).to_bytes(8) + extension.encode()


def document_key(document: Document, words: Sequence[bytes] | None = None) -> bytes:
    """The key in 16 bytes, which many documents' signatures contain."""
    key = token_key(document.text, extension_of(document.path), words)
    return hashlib.blake2b(key, digest_size=16).digest()


def signature(
    document: Document, position: int, words: Sequence[bytes] | None = None
) -> tuple[int, int, int, int, int]:
    """One row of SIGNATURE; `position` is any number that identifies the document for the caller."""
    key = document_key(document, words)
    stars = UNKNOWN_STARS if document.stars is None else document.stars
    return int.from_bytes(key[:8]), int.from_bytes(key[8:]), stars, tie_of(document), position


def tie_of(document: Document) -> int:
    """A number that orders documents with equal stars; it depends only on the document."""
    name = "\0".join((document.source, document.project, document.path, document.text))
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def partition_of(signatures: Signatures, num_partitions: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """The partition, from 0, that each signature belongs to; duplicates are always in the same."""
    partitions: np.ndarray[Any, np.dtype[np.uint64]] = signatures["key"] % np.uint64(num_partitions)
    return partitions


def duplicates_among(signatures: Signatures) -> Duplicates:
    """The positions of the documents to drop, each with that of its kept duplicate.

    Memory: about twice that of the signatures.
    """
    order = np.lexsort([signatures[name] for name in ("position", "tie")] + _last_keys(signatures))
    sorted_ = signatures[order]
    same = (sorted_["key"][1:] == sorted_["key"][:-1]) & (sorted_["key_rest"][1:] == sorted_["key_rest"][:-1])
    is_duplicate = np.concatenate([np.zeros(min(len(sorted_), 1), bool), same])
    first_of_each = np.maximum.accumulate(np.where(is_duplicate, 0, np.arange(len(sorted_))))
    duplicates = np.empty(int(is_duplicate.sum()), DUPLICATE_ROW)
    duplicates["position"] = sorted_["position"][is_duplicate]
    duplicates["kept"] = sorted_["position"][first_of_each[is_duplicate]]
    return np.sort(duplicates, order="position")


def _last_keys(signatures: Signatures) -> list[np.ndarray[Any, Any]]:
    """The columns that `lexsort` compares after the ties, the most important last."""
    return [-signatures["stars"], signatures["key_rest"], signatures["key"]]
