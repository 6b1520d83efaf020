"""Benchmarks of the paper's kinds, made from any Python code that a model has not seen."""
