"""Lines of a stream, none longer in memory than a bound."""

from collections.abc import Iterator
from typing import IO


def bounded_lines(file: IO[bytes], max_bytes: int) -> Iterator[tuple[bytes | None, int]]:
    """Each line with its end, and its length; None in the place of one of more than `max_bytes` bytes."""
    while line := file.readline(max_bytes + 1):
        if len(line) <= max_bytes or line.endswith(b"\n"):
            yield line, len(line)
            continue
        num_bytes = len(line)
        while not line.endswith(b"\n") and (line := file.readline(max_bytes + 1)):
            num_bytes += len(line)
        yield None, num_bytes
