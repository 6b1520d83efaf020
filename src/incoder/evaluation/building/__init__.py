"""Benchmarks made from code that a model has not seen: the paper's kinds from Python, holes from any."""
