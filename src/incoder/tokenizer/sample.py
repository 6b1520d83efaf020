"""An even sample of a stream of documents within a bound on bytes, in one pass.

Training byte-level BPE on whole lines takes about 65 MB of memory for each MB of text (nearly every line is
distinct), so that the size of the sample is what decides. Knows nothing of tokens.
"""

import heapq
import random
import re
from collections.abc import Callable, Iterable, Iterator

MAX_CHUNK_CHARACTERS = 1 << 16  # of a long document, so that no document takes the sample for itself
MAX_LINE_CHARACTERS = 3000  # longer lines are data; the trainer needs hours for them

_LINE = re.compile(r"[^\r\n]*[\r\n]+|[^\r\n]+")  # with the whole run of line ends behind it


def sample_text(
    documents: Iterable[str],
    max_bytes: int,
    seed: int,
    on_read: Callable[[int], None] | None = None,
) -> list[str]:
    """At most `max_bytes` (of UTF-8) of the documents, every part as likely as any other, in their order.

    Each chunk of a document draws a rank, and the chunks of the lowest ranks that fit are the sample:
    deterministic from the seed and the order, and never more than the bound (and one chunk) in memory.
    `on_read` is told the number of characters of each document as it goes by.
    """
    draw = random.Random(seed).random
    heap: list[tuple[float, int, bytes]] = []  # (−rank, arrival, text): the highest rank on top
    num_bytes, ceiling, arrival = 0, 1.0, 0
    for document in documents:
        for chunk in _chunks(document):
            rank, arrival = draw(), arrival + 1
            if rank >= ceiling:  # a chunk with a lower rank had no room already
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
