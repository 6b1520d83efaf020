"""The backends, the fastest first."""

from incoder.inference.backends.backend import Backend
from incoder.inference.backends.cuda_graphs import EagerGraphs
from incoder.inference.backends.eager_step import EagerBackend
from incoder.inference.backends.numba_step import NumbaBackend
from incoder.inference.backends.triton_step import TritonGraphs

# A chunk is run by the first backend that can run it; EagerBackend can run all.
BACKENDS: tuple[type[Backend], ...] = (TritonGraphs, EagerGraphs, NumbaBackend, EagerBackend)
