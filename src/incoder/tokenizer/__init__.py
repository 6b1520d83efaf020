"""Byte-level BPE, its special tokens, and the infilling format."""
