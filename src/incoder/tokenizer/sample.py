"""A uniform sample of a stream of documents, bounded in bytes, in one pass.

Training byte-level BPE on whole lines takes about 65 MB of memory per MB of text, because nearly every line
is distinct; so the sample's size decides how much memory training takes. Knows nothing of tokens.
"""

import heapq
import random
import re
from collections.abc import Callable, Iterable, Iterator

MAX_CHUNK_CHARACTERS = 1 << 16  # of a long document, so that no single document fills the sample
MAX_LINE_CHARACTERS = 3000  # longer lines are data; the trainer needs hours for them

_LINE = re.compile(r"[^\r\n]*[\r\n]+|[^\r\n]+")  # a line and all line ends after it


def sample_text(
    documents: Iterable[str],
    max_bytes: int,
    seed: int,
    on_read: Callable[[int], None] | None = None,
) -> list[str]:
    """Return at most `max_bytes` (of UTF-8) of the documents, each chunk with equal probability, in order.

    Each chunk of a document draws a rank; the sample is the chunks with the lowest ranks that fit. The same
    seed and documents give the same sample. Memory holds the sample and one chunk. `on_read` is called with
    the number of characters of each document that was read.

    >>> sample_text(["import os\\n", "x = 1\\n"], max_bytes=100, seed=1)
    ['import os\\n', 'x = 1\\n']
    """
    draw = random.Random(seed).random
    heap: list[tuple[float, int, bytes]] = []  # (−rank, arrival, text): the highest rank on top
    num_bytes, ceiling, arrival = 0, 1.0, 0
    for document in documents:
        for chunk in _chunks(document):
            rank, arrival = draw(), arrival + 1
            if rank >= ceiling:  # a chunk with a lower rank did not fit already
                continue
            text = _without_long_lines(chunk).encode("utf-8", "ignore")
            heapq.heappush(heap, (-rank, arrival, text))
            num_bytes += len(text)
            while num_bytes > max_bytes:
                negative_rank, _, dropped = heapq.heappop(heap)
                num_bytes, ceiling = num_bytes - len(dropped), -negative_rank
        if on_read is not None:
            on_read(len(document))
    return [text.decode("utf-8") for _, _, text in sorted(heap, key=lambda entry: entry[1])]


def _chunks(document: str) -> Iterator[str]:
    """Cut a long document between lines, never inside a run of line ends."""
    if len(document) <= MAX_CHUNK_CHARACTERS:
        yield document
        return
    start = end = 0
    for line in _LINE.finditer(document):
        if line.end() - start > MAX_CHUNK_CHARACTERS and end > start:
            yield document[start:end]
            start = end
        end = line.end()
    yield document[start:]


def _without_long_lines(text: str) -> str:
    lines = _LINE.findall(text)
    if all(len(line) <= MAX_LINE_CHARACTERS for line in lines):
        return text
    return "".join(line for line in lines if len(line) <= MAX_LINE_CHARACTERS)
