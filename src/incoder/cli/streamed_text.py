"""A text with holes on standard output while it is written."""

from collections.abc import Sequence

from incoder.cli.console import write_result
from incoder.inference.prompts.line_endings import UNIX, line_end
from incoder.results import TextPiece


class StreamedText:
    """Writes the parts up to the hole that is being filled, and the text of its infill as it comes."""

    def __init__(self, parts: Sequence[str]) -> None:
        self._parts = parts
        self._line_end = line_end(parts)
        self._num_parts = 0
        self._written = ""
        self._held = ""  # a \r that may be half of a line end

    def add(self, piece: TextPiece) -> None:
        """Write more text of an infill, with the line ends of the text around it."""
        self._write_parts(piece.hole + 1)
        text = self._held + piece.text
        self._held = ""
        if self._line_end != UNIX:
            if text.endswith("\r"):
                text, self._held = text[:-1], "\r"
            text = text.replace("\r\n", UNIX).replace(UNIX, self._line_end)
        self._write(text)

    def finish(self, text: str) -> None:
        """Write the rest of the whole text."""
        assert text.startswith(self._written), "no piece is ever taken back"
        self._write(text[len(self._written) :])

    def _write_parts(self, num_parts: int) -> None:
        """Write the parts before this number of them, after the rest of the infill before each."""
        while self._num_parts < num_parts:
            self._write(self._held + self._parts[self._num_parts])
            self._held = ""
            self._num_parts += 1

    def _write(self, text: str) -> None:
        self._written += text
        write_result(text)
