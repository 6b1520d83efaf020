"""How an annotation is found: the places that lack one, the names of types, imports, and mypy."""
