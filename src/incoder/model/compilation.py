"""A callback before numba compiles a kernel, which takes seconds once per machine and precision.

numba stores the compiled code beside kernels.py, or in the user's cache if that folder is read-only, and
later processes load it in milliseconds.
"""

import importlib
from collections.abc import Callable
from typing import Any

from incoder.model.gemv import has_kernels

_COMPILES = "numba:compile"
_KERNELS = "incoder.model.kernels"


def before_compiling(callback: Callable[[], None]) -> None:
    """Call `callback` once, before this process compiles its first kernel; never if it has no kernels."""
    if not has_kernels():
        return
    event: Any = importlib.import_module("numba.core.event")

    class Once(event.Listener):  # type: ignore[misc] # numba has no types
        def on_start(self, started: Any) -> None:
            if started.data["dispatcher"].py_func.__module__ == _KERNELS:
                event.unregister(_COMPILES, self)
                callback()

        def on_end(self, ended: Any) -> None:
            """Required by numba; there is nothing to do."""

    event.register(_COMPILES, Once())
