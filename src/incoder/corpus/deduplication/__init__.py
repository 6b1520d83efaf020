"""Copies of documents: in one pass as in the paper, exact in any order, and nearly the same."""

from incoder.corpus.deduplication.keys import document_key, token_key
from incoder.corpus.deduplication.settings import DeduplicationSettings

__all__ = ["DeduplicationSettings", "document_key", "token_key"]
