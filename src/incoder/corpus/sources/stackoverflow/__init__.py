"""Stack Exchange dumps: questions with their answers and comments, grouped on disk, as the paper's text.

`dump` reads rows, `grouping` joins questions with their answers and comments, `thread_text` writes the text.
"""

from incoder.corpus.sources.stackoverflow.threads import stackoverflow_shards

__all__ = ["stackoverflow_shards"]
