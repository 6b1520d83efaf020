import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

numba = pytest.importorskip("numba")

from incoder.model import kernels  # noqa: E402 - imports numba


@pytest.mark.parametrize("name", ["exp", "erf"])
def test_functions_without_a_call_are_those_of_pytorch(name: str) -> None:
    function = getattr(kernels, name)

    @numba.njit
    def mapped(inputs, outputs):  # type: ignore[no-untyped-def]
        for i in range(len(inputs)):
            outputs[i] = function(inputs[i])

    inputs = torch.cat((torch.linspace(-87, 88, 10_001), torch.linspace(-5, 5, 10_001), torch.tensor([-0.0])))
    found = torch.empty_like(inputs)
    mapped(inputs.numpy(), found.numpy())
    torch.testing.assert_close(found.double(), getattr(torch, name)(inputs.double()), rtol=2e-6, atol=5e-7)


@pytest.mark.slow
def test_what_one_process_compiled_the_next_one_finds(tmp_path: Path) -> None:
    program = (
        "import numpy as np; from incoder.model.kernels import multiply; "
        "floats = lambda *shape: np.ones(shape, np.float32); output = floats(1, 8); "
        "multiply(floats(1, 8), floats(8, 8), floats(0), floats(0), output); "
        "print(len(multiply.stats.cache_hits), len(multiply.stats.cache_misses), output.sum())"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    told = [
        subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    assert told == [["0", "1", "64.0"], ["1", "0", "64.0"]]


@pytest.mark.slow
def test_narrow_vectors_give_the_same_products(tmp_path: Path) -> None:
    """As a processor without AVX-512 multiplies, whichever this one is."""
    program = (
        "import torch; from incoder.model import kernels; from incoder.model.packing import unpack; "
        "from incoder.model.quantization import packed_rows, quantized_rows; "
        "from incoder.model.gemv import make_gemv; "
        "generator = torch.Generator().manual_seed(0); "
        "weight_OI = torch.randn(1025, 2048, generator=generator); "
        "input_BI = torch.randn(7, 2048, generator=generator); "
        "int8_OI, scale_O = quantized_rows(weight_OI); packed_OP, scale_OG = packed_rows(weight_OI); "
        "exact = [int8_OI * scale_O[:, None], unpack(packed_OP, scale_OG, torch.float32)]; "
        "products = [make_gemv(int8_OI, scale_O), make_gemv(packed_OP, scale_OG)]; "
        "errors = [(product(input_BI) - input_BI @ matrix.T).abs().max() "
        "for product, matrix in zip(products, exact)]; "
        "print(kernels._WIDTH, max(errors).item() < 2e-3)"
    )
    narrow = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **narrow},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["8", "True"]
