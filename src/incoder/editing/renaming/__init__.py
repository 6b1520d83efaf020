"""Parts of `incoder.editing.rename`: a variable's occurrences, and the risks of renaming it."""
