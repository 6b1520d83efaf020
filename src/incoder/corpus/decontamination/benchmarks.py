"""Documents that hold a task of a benchmark, found by runs of words that both share.

Words are compared in small letters and without what stands between them, so that other spacing, quotes or
brackets hide nothing. Each run of a document is looked up by its hash and then compared itself. Runs of
numbers and single letters are no sign of a task: they are in any code.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from incoder.corpus.decontamination.decontamination_settings import DecontaminationSettings
from incoder.corpus.decontamination.json_records import json_records
from incoder.corpus.sources.source_file import Dropped, OnDrop
from incoder.corpus.text.words import ngram_hashes, words_of
from incoder.document import Document
from incoder.errors import IncoderError

_TABLE_BITS = 22  # of the hash: one in thirty runs of other text is looked at twice for 140,000 runs
_MIN_DISTINCT_WORDS = 3  # of a run, not counting numbers and single letters


@dataclass(frozen=True, slots=True)
class Match:
    """The first run of words that a text shares with a task."""

    benchmark: str
    task: str
    words: str


class BenchmarkTasks:
    """The runs of words of all tasks, by hash."""

    def __init__(self, settings: DecontaminationSettings) -> None:
        """Read the benchmarks.

        Raises:
            IncoderError: a file cannot be read, or no record has one of the fields.
        """
        self._num_words = settings.num_words
        self._matches = dict[int, Match]()
        for path in settings.benchmarks:
            self._read(path, settings.fields)
        self._hashes = np.array(sorted(self._matches), np.uint64)
        self._table = np.zeros(1 << _TABLE_BITS, bool)
        self._table[self._hashes >> np.uint64(64 - _TABLE_BITS)] = True

    def match(self, text: str) -> Match | None:
        """The first shared run of words, or None."""
        words = words_of(text, lower=True)
        hashes = ngram_hashes(words, self._num_words)
        likely = np.flatnonzero(self._table[hashes >> np.uint64(64 - _TABLE_BITS)])
        if not likely.size:
            return None
        places = np.minimum(np.searchsorted(self._hashes, hashes[likely]), len(self._hashes) - 1)
        for start in likely[self._hashes[places] == hashes[likely]].tolist():
            found = self._matches[int(hashes[start])]
            if found.words == _joined(words[start : start + self._num_words]):
                return found
        return None

    def _read(self, path: Path, fields: Iterable[str]) -> None:
        found_text = False
        for number, record in enumerate(json_records(path)):
            text = "\n".join(filter(None, (_text(record.get(field)) for field in fields)))
            found_text = found_text or bool(text)
            words = words_of(text, lower=True)
            task = str(record.get("task_id", record.get("name", number)))
            for start, hashed in enumerate(ngram_hashes(words, self._num_words).tolist()):
                run = words[start : start + self._num_words]
                if not _says_something(run):
                    continue
                self._matches.setdefault(hashed, Match(_name(path), task, _joined(run)))
        if not found_text:
            raise IncoderError(
                f"{path}: no record has a text in one of the fields {', '.join(fields)}; "
                "name the right ones in decontamination.fields"
            )


def decontaminated(
    documents: Iterable[Document], tasks: BenchmarkTasks, on_drop: OnDrop
) -> Iterator[Document]:
    """The documents that share no run of words with a task."""
    for document in documents:
        if match := tasks.match(document.text):
            on_drop(
                Dropped(
                    document.project,
                    document.path,
                    len(document.text.encode()),
                    f"in benchmark: {match.benchmark}",
                    f"{match.task}: {match.words}",
                )
            )
        else:
            yield document


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(_text, value))
    return value if isinstance(value, str) else ""


def _says_something(run: list[bytes]) -> bool:
    """Whether a run can tell a task from other code, which `0 1 2 3 4 5 6 7 8 9` cannot."""
    distinct = {word for word in run if len(word) > 1 and not word[:1].isdigit()}
    return len(distinct) >= _MIN_DISTINCT_WORDS


def _joined(words: list[bytes]) -> str:
    return b" ".join(words).decode("utf-8", "replace")


def _name(path: Path) -> str:
    return path.name.partition(".")[0]
