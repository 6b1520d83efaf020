"""What two documents have in common that differ in nothing but spacing and punctuation (paper, section 3.1).

The key is the extension, the number of alphanumeric tokens and the MD5 of their sequence.
"""

import hashlib

from incoder.corpus.languages import extension_of
from incoder.corpus.words import words_of
from incoder.document import Document


def token_key(text: str, extension: str) -> bytes:
    """The paper's key; its length depends on the extension's."""
    tokens = words_of(text)
    digest = hashlib.md5(b" ".join(tokens), usedforsecurity=False).digest()
    return digest + len(tokens).to_bytes(8) + extension.encode()


def document_key(document: Document) -> bytes:
    """The same in 16 bytes, to be kept for each of many documents."""
    key = token_key(document.text, extension_of(document.path))
    return hashlib.blake2b(key, digest_size=16).digest()
