"""Parts of `incoder.editing.type_hints`: missing annotations, names of types, imports, and mypy."""
