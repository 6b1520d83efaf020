"""Keeps benchmarks and their repositories out of the training data."""
