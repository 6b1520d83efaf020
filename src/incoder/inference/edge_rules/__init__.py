"""The rules that end an infill, each for itself (edges.py puts them together)."""
