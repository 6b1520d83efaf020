"""Parts of `incoder.editing.docstring`: a docstring's place, its style, its prose and its string literal."""
