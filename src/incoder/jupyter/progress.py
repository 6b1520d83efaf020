"""One line below a cell that says what is done now, and is replaced as the work goes on."""

import sys
from typing import Any

from IPython.display import display


class Progress:
    """The line. In a terminal, where it cannot be replaced, only messages that `take_long` are printed."""

    def __init__(self, shell: Any) -> None:
        self._is_kernel = getattr(shell, "kernel", None) is not None
        self._handle: Any = None

    def show(self, message: str, *, take_long: bool = False) -> None:
        """Replace the line by this message."""
        if not self._is_kernel:
            if take_long:
                print(message, file=sys.stderr)
            return
        shown = {"text/plain": message}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)
