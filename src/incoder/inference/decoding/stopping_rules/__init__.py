"""The stopping rules of an infill, one class each; stopping.py combines them."""
