"""Records distributed over files by number, so that each file fits into memory.

However many files there are, the records that wait for writing take a bounded amount of memory, and no file
stays open.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_WAITING_BYTES = 32_000_000


class Partitions:
    """Files of JSON lines in a folder; `flush` must be called after the last record is added."""

    def __init__(self, folder: Path, num_partitions: int) -> None:
        self._folder = folder
        self._num_partitions = num_partitions
        self._waiting = defaultdict[int, list[str]](list)
        self._num_waiting = 0
        folder.mkdir()

    def add(self, number: int, record: Any) -> None:
        line = json.dumps(record, ensure_ascii=True, separators=(",", ":"))
        self._waiting[number % self._num_partitions].append(line)
        self._num_waiting += len(line)
        if self._num_waiting >= _WAITING_BYTES:
            self.flush()

    def flush(self) -> None:
        for partition, lines in self._waiting.items():
            with partition_file(self._folder, partition).open("a", encoding="ascii") as file:
                file.writelines(f"{line}\n" for line in lines)
        self._waiting.clear()
        self._num_waiting = 0


def partition_file(folder: Path, partition: int) -> Path:
    return folder / f"{partition:06}.jsonl"


def read_partition(folder: Path, partition: int) -> Iterator[Any]:
    """The records of one file in the order in which they were added; none if the file does not exist."""
    path = partition_file(folder, partition)
    if path.exists():
        with path.open(encoding="ascii") as file:
            yield from map(json.loads, file)
