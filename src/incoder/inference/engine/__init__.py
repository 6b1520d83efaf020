"""Continuous batching: many sequences in the same steps, over one key/value cache in blocks."""
