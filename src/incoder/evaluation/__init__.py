"""Judging models: benchmarks, metrics, and running what a model wrote inside limits."""
