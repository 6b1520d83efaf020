"""Benchmarks and repositories that models are judged by, kept out of what they learn from."""
