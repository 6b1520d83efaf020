"""How a docstring is drafted: its place, its style, and its text as a string literal."""
