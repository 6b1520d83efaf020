"""Exact deduplication that does not depend on the order, in two steps that any number of workers can share.

First each document leaves a signature of 40 bytes: its key, its stars and where it lies. Then copies are
found among the signatures alone, all of them or, shared out by `part_of`, those of one part; of each set of
copies the one with the most stars stays, and of equals the one whose name has the lowest hash.

The key says what documents have in common that differ in nothing but spacing and punctuation (paper, section
3.1): the extension, the number of alphanumeric tokens and the MD5 of their sequence.
"""

import hashlib
from typing import Any

import numpy as np

from incoder.corpus.text.languages import extension_of
from incoder.corpus.text.words import words_of
from incoder.document import Document

Signatures = np.ndarray[tuple[int], np.dtype[np.void]]  # of SIGNATURE
Copies = np.ndarray[tuple[int], np.dtype[np.void]]  # of COPY

SIGNATURE = np.dtype(
    [("key", "<u8"), ("key_rest", "<u8"), ("stars", "<i8"), ("tie", "<u8"), ("position", "<u8")]
)
COPY = np.dtype([("position", "<u8"), ("kept", "<u8")])  # a document to drop, and the one that stays for it

UNKNOWN_STARS = -1


def token_key(text: str, extension: str) -> bytes:
    """The paper's key; its length depends on the extension's."""
    tokens = words_of(text)
    digest = hashlib.md5(b" ".join(tokens), usedforsecurity=False).digest()
    return digest + len(tokens).to_bytes(8) + extension.encode()


def document_key(document: Document) -> bytes:
    """The same in 16 bytes, to be kept for each of many documents."""
    key = token_key(document.text, extension_of(document.path))
    return hashlib.blake2b(key, digest_size=16).digest()


def signature(document: Document, position: int) -> tuple[int, int, int, int, int]:
    """One row of SIGNATURE; `position` is any number by which the caller finds the document again."""
    key = document_key(document)
    stars = UNKNOWN_STARS if document.stars is None else document.stars
    return int.from_bytes(key[:8]), int.from_bytes(key[8:]), stars, tie_of(document), position


def tie_of(document: Document) -> int:
    """A number by which equals are put in order: it depends on the document alone."""
    name = "\0".join((document.source, document.project, document.path, document.text))
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def part_of(signatures: Signatures, num_parts: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """The part, from 0, that each signature belongs to; copies are always in the same."""
    parts: np.ndarray[Any, np.dtype[np.uint64]] = signatures["key"] % np.uint64(num_parts)
    return parts


def copies_among(signatures: Signatures) -> Copies:
    """The documents to drop, by position, each with the position of the copy that stays.

    Memory: about twice that of the signatures.
    """
    order = np.lexsort([signatures[name] for name in ("position", "tie")] + _last_keys(signatures))
    sorted_ = signatures[order]
    same = (sorted_["key"][1:] == sorted_["key"][:-1]) & (sorted_["key_rest"][1:] == sorted_["key_rest"][:-1])
    is_copy = np.concatenate([np.zeros(min(len(sorted_), 1), bool), same])
    first_of_each = np.maximum.accumulate(np.where(is_copy, 0, np.arange(len(sorted_))))
    copies = np.empty(int(is_copy.sum()), COPY)
    copies["position"] = sorted_["position"][is_copy]
    copies["kept"] = sorted_["position"][first_of_each[is_copy]]
    return np.sort(copies, order="position")


def _last_keys(signatures: Signatures) -> list[np.ndarray[Any, Any]]:
    """What `lexsort` looks at after the ties, the most important last."""
    return [-signatures["stars"], signatures["key_rest"], signatures["key"]]
