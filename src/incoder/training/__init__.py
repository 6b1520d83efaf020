"""Training: the loop, its data, optimizer, checkpoints and metrics. Knows nothing of inference."""
