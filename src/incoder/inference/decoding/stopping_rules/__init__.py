"""The stopping rules of an infill, one class each; edges.py combines them."""
