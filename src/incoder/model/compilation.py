"""A callback for the moment when numba compiles a kernel: seconds, once for a machine and a precision.

numba keeps the compiled code beside kernels.py, or in the user's cache where that folder is read-only, and
later processes load it in milliseconds.
"""

import importlib
from collections.abc import Callable
from typing import Any

from incoder.model.row_products import has_kernels

_COMPILES = "numba:compile"
_KERNELS = "incoder.model.kernels"


def before_compiling(callback: Callable[[], None]) -> None:
    """Call `callback` once, before this process compiles its first kernel; never where there are none."""
    if not has_kernels():
        return
    event: Any = importlib.import_module("numba.core.event")

    class Once(event.Listener):  # type: ignore[misc] # numba has no types
        def on_start(self, started: Any) -> None:
            if started.data["dispatcher"].py_func.__module__ == _KERNELS:
                event.unregister(_COMPILES, self)
                callback()

        def on_end(self, ended: Any) -> None:
            """Nothing is said of it."""

    event.register(_COMPILES, Once())
