"""Ways to compute one step of the network: eager PyTorch, numba kernels, CUDA graphs, Triton kernels."""
