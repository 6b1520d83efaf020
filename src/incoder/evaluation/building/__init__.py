"""Benchmarks from code that a model has not seen: the paper's kinds for Python, holes for any language."""
