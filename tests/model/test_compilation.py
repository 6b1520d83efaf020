import os
import subprocess
import sys
from pathlib import Path

import pytest

from incoder.model import compilation

pytest.importorskip("numba")

_PROGRAM = """
import numba, numpy as np
from incoder.model.compilation import before_compiling
from incoder.model.kernels import multiply
before_compiling(lambda: print("compiling"))
numba.njit(lambda x: x + 1)(1)  # the kernel of somebody else
print("now")
floats = lambda *shape: np.ones(shape, np.float32)
multiply(floats(1, 8), floats(8, 8), floats(0), floats(0), floats(1, 8))
"""


@pytest.mark.slow
def test_the_first_kernel_is_announced_before_it_is_compiled_and_not_where_it_is_kept(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    assert outputs == [["now", "compiling"], ["now"]]


def test_without_kernels_nothing_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "has_kernels", lambda: False)
    monkeypatch.setattr(compilation, "importlib", None)  # would be asked for numba
    compilation.before_compiling(lambda: pytest.fail("nothing is compiled"))
