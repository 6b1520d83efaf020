"""Where documents come from: one file for each kind of source.

A source is cut into pieces, and each piece is read alone, so that any number of workers can share them. What
cannot be read is dropped with the reason and never stops a run.
"""

from incoder.corpus.exclusions import bare_name
from incoder.corpus.sources.listing import list_files, list_pieces, source_paths
from incoder.corpus.sources.pieces import FilesPiece, Piece

__all__ = ["FilesPiece", "Piece", "bare_name", "list_files", "list_pieces", "source_paths"]
