"""Streamed text: bytes in, whole characters out."""

import codecs

from incoder.request import InfillRequest
from incoder.results import OnText, TextPiece


class TextStream:
    """Calls `on_text` with the text of each candidate's infills; holds back incomplete characters."""

    def __init__(self, request: InfillRequest, on_text: OnText) -> None:
        self._request = request
        self._on_text = on_text
        self._decoders: dict[tuple[int, int], codecs.IncrementalDecoder] = {}

    def add(self, candidate: int, hole: int, data: bytes) -> None:
        """Add bytes of an infill; call back if they complete a character."""
        decoder = self._decoders.get((candidate, hole))
        if decoder is None:
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            self._decoders[candidate, hole] = decoder
        text = decoder.decode(data)
        if text:
            self._on_text(TextPiece(self._request, candidate, hole, text))
