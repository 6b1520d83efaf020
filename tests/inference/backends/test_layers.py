"""The one reader of a network's weights: nothing is left out, and no order matters."""

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from incoder.inference.backends.backend import Chunk
from incoder.inference.backends.cuda_graphs import EagerGraphs
from incoder.inference.backends.eager_step import EagerBackend
from incoder.inference.backends.layers import read_layers
from incoder.inference.backends.numba_step import NumbaBackend
from incoder.inference.backends.preference import BACKENDS
from incoder.inference.backends.triton_step import TritonGraphs
from incoder.inference.engine.runner import Runner
from incoder.model.quantization import quantize
from incoder.model.transformer import Transformer

CPU_BACKENDS = [NumbaBackend, EagerBackend]


@pytest.mark.parametrize("num_bits", [None, 8, 4])
def test_every_weight_of_the_network_is_read(transformer: Transformer, num_bits: int | None) -> None:
    """A weight that is added to a block, and not to layers.py, would be ignored by every backend."""
    if num_bits is not None:
        quantize(transformer, num_bits=num_bits)
    read = {weight.data_ptr() for weight in read_layers(transformer).weights()}
    missing = [name for name, tensor in transformer.state_dict().items() if tensor.data_ptr() not in read]
    assert missing == []


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_no_backend_depends_on_the_order_in_which_submodules_were_registered(
    transformer: Transformer, backend: type[NumbaBackend | EagerBackend]
) -> None:
    if backend is NumbaBackend:
        pytest.importorskip("numba")
    expected = logits_by(transformer, backend)
    for module in [*transformer.blocks.modules()]:
        if not isinstance(module, nn.ModuleList):
            submodules = dict(module._modules)
            module._modules.clear()
            module._modules.update(reversed(submodules.items()))
    assert torch.equal(logits_by(transformer, backend), expected)


def logits_by(transformer: Transformer, backend: type[NumbaBackend | EagerBackend]) -> torch.Tensor:
    if not backend.is_available(read_layers(transformer)):
        pytest.skip("is for a CPU")
    runner = Runner(transformer, backends=[backend])
    sequence = runner.open(16)
    return torch.cat([runner.run([Chunk(sequence, ids, len(ids))])[0] for ids in ([3, 4, 5], [6], [7])])


def test_gpus_and_kernels_are_preferred_and_the_eager_step_runs_what_is_left() -> None:
    assert (TritonGraphs, EagerGraphs, NumbaBackend, EagerBackend) == BACKENDS


def test_the_first_backend_that_can_run_a_chunk_runs_it(transformer: Transformer) -> None:
    class Picky(EagerBackend):
        """Runs single tokens only."""

        num_taken = 0

        def can_run(self, chunks: Sequence[Chunk]) -> Sequence[int]:
            return [index for index, chunk in enumerate(chunks) if len(chunk.token_ids) == 1]

        def __call__(self, chunks: Sequence[Chunk]) -> torch.Tensor:
            Picky.num_taken += len(chunks)
            return super().__call__(chunks)

    picky, eager = (
        Runner(transformer, backends=[Picky, EagerBackend]),
        Runner(transformer, backends=[EagerBackend]),
    )
    rows = [[1, 2, 3], [4], [5, 6], [7]]
    found, expected = (
        runner.run([Chunk(runner.open(16), row, 1) for row in rows]) for runner in (picky, eager)
    )
    assert Picky.num_taken == 2
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
