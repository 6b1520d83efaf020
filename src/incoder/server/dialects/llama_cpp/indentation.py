"""`n_indent`: an infill ends before the first of its further lines that is indented less.

A tab counts as one character, as in llama.cpp. Blank lines do not end an infill.
"""

import re
from dataclasses import dataclass

_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(slots=True)
class IndentGuard:
    """Cuts a text that arrives in pieces; holds back a line's first blanks until more of it is known."""

    least_indent: int
    _held: str = ""
    _passes: bool = True  # whether the rest of the line is shown: at first the hole's own line
    _is_over: bool = False

    def add(self, piece: str) -> str:
        """Return the text that can be shown now.

        >>> guard = IndentGuard(4)
        >>> [guard.add(piece) for piece in ("x\\n  ", "  y\\n", "  ", "z")]
        ['x\\n', '    y\\n', '', '']
        """
        shown = ""
        for line in _LINE.findall(self._held + piece):
            self._held = ""
            if self._is_over:
                break
            if not self._passes:
                num_blanks = len(line) - len(line.lstrip(" \t"))
                if num_blanks == len(line):
                    self._held = line
                    break
                self._is_over = num_blanks < self.least_indent and line[num_blanks] not in "\r\n"
                if self._is_over:
                    break
            shown += line
            self._passes = not line.endswith("\n")
        return shown

    def end(self) -> str:
        """Return what was held back, at the end of the text."""
        held, self._held = self._held, ""
        return held


def cut_dedented(text: str, least_indent: int) -> str:
    """Return the text up to its first dedented line.

    >>> cut_dedented("x\\n\\n    y\\nz\\n", 4)
    'x\\n\\n    y\\n'
    """
    guard = IndentGuard(least_indent)
    return guard.add(text) + guard.end()
