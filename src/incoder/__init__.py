"""InCoder: write code left to right, and fill any number of holes in it with both sides in view."""

__version__ = "0.1.0"
