"""Finds documents that contain a benchmark's task, by the word n-grams that both share.

Words are compared in small letters and without the characters between them, so that other spacing, quotes or
brackets hide nothing. Each run of a document is looked up by its hash and then compared itself. Runs of
numbers and single letters are no sign of a task. Runs of keywords and builtins alone, such as nested loops,
are in any code: they are a sign only where a document holds most of one field of a task, such as its
solution.
"""

import builtins
import keyword
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
_MIN_TELLING_WORDS = 2  # of those, words that are not common to all code
_MIN_COMMON_SHARE = 0.5  # of a field's runs, where all that a document shares with it is common

# Words of a language, not of a task: Python's keywords and builtins, what other languages call the same
# things, and what a benchmark's tests are wrapped in.
_OTHER_WORDS = """
    self cls args kwargs append extend items keys values join split strip format main function func
    var let const new this null nil undefined true false void boolean string double char long
    unsigned static public private protected final struct interface switch default do then end begin
    elseif foreach fn mut pub use package export extends implements throw throws catch typeof
    instanceof sizeof std cout endl size length push back vector auto i32 i64 u8 u32 u64 usize
    size_t int32 int64 uint32 uint64 float32 float64 byte rune __init__ __name__ __main__ numpy np
    pd math sys os re typing collections
"""
_COMMON = frozenset(
    word.lower().encode()
    for word in (*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *_OTHER_WORDS.split())
)


@dataclass(frozen=True, slots=True)
class Match:
    """The first n-gram that a text shares with a task."""

    benchmark: str
    task: str
    words: str


@dataclass(slots=True)
class _Field:
    """One text of a task, such as its solution, with its number of n-grams that are no mere numbers."""

    benchmark: str
    task: str
    num_runs: int = 0


class BenchmarkTasks:
    """The word n-grams of all tasks, by hash."""

    def __init__(self, settings: DecontaminationSettings) -> None:
        """Read the benchmarks.

        Raises:
            IncoderError: a file cannot be read, or no record has one of the fields.
        """
        self._num_words = settings.num_words
        self._matches = dict[int, Match]()
        self._fields = list[_Field]()
        self._fields_with = dict[int, list[int]]()  # of a run of common words, by its hash
        for path in settings.benchmarks:
            self._read(path, settings.fields)
        self._hashes = np.array(sorted(self._matches), np.uint64)
        self._table = np.zeros(1 << _TABLE_BITS, bool)
        self._table[self._hashes >> np.uint64(64 - _TABLE_BITS)] = True

    def match(self, text: str) -> Match | None:
        """The first shared n-gram, or None."""
        words = words_of(text, lower=True)
        hashes = ngram_hashes(words, self._num_words)
        likely = np.flatnonzero(self._table[hashes >> np.uint64(64 - _TABLE_BITS)])
        if not likely.size:
            return None
        places = np.minimum(np.searchsorted(self._hashes, hashes[likely]), len(self._hashes) - 1)
        shared = dict[int, set[int]]()  # by field, the hashes of its runs that the text holds
        for start in likely[self._hashes[places] == hashes[likely]].tolist():
            hashed = int(hashes[start])
            run = words[start : start + self._num_words]
            found = self._matches[hashed]
            if found.words != _joined(run):
                continue
            if _num_telling(run) >= _MIN_TELLING_WORDS:
                return found
            for number in self._fields_with.get(hashed, ()):
                field = self._fields[number]
                of_field = shared.setdefault(number, set())
                of_field.add(hashed)
                if len(of_field) >= _MIN_COMMON_SHARE * field.num_runs:
                    return Match(field.benchmark, field.task, found.words)
        return None

    def _read(self, path: Path, fields: Iterable[str]) -> None:
        found_text = False
        for number, record in enumerate(json_records(path)):
            texts = [text for field in fields if (text := _text(record.get(field)))]
            found_text = found_text or bool(texts)
            task = str(record.get("task_id", record.get("name", number)))
            words = words_of("\n".join(texts), lower=True)  # also runs from one field into the next
            for hashed, run in self._runs(words):
                self._matches.setdefault(hashed, Match(_name(path), task, _joined(run)))
            for text in texts:
                self._add_field(_Field(_name(path), task), words_of(text, lower=True))
        if not found_text:
            raise IncoderError(
                f"{path}: no record has a text in one of the fields {', '.join(fields)}; "
                "name the right ones in decontamination.fields"
            )

    def _add_field(self, field: _Field, words: list[bytes]) -> None:
        common = set[int]()
        for hashed, run in self._runs(words):
            field.num_runs += 1
            if _num_telling(run) < _MIN_TELLING_WORDS:
                common.add(hashed)
        for hashed in common:
            self._fields_with.setdefault(hashed, []).append(len(self._fields))
        self._fields.append(field)

    def _runs(self, words: list[bytes]) -> Iterator[tuple[int, list[bytes]]]:
        """Yield each n-gram that has more than numbers and single letters, with its hash."""
        for start, hashed in enumerate(ngram_hashes(words, self._num_words).tolist()):
            run = words[start : start + self._num_words]
            if len(_distinct(run)) >= _MIN_DISTINCT_WORDS:
                yield hashed, run


def decontaminated(
    documents: Iterable[Document], tasks: BenchmarkTasks, on_drop: OnDrop
) -> Iterator[Document]:
    """Yield the documents that share no n-gram with a task."""
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


def _distinct(run: list[bytes]) -> set[bytes]:
    return {word for word in run if len(word) > 1 and not word[:1].isdigit()}


def _num_telling(run: list[bytes]) -> int:
    """The number of words that are not common to all code: 0 in `for i in range(n): for j in …`."""
    return len(_distinct(run) - _COMMON)


def _joined(words: list[bytes]) -> str:
    return b" ".join(words).decode("utf-8", "replace")


def _name(path: Path) -> str:
    return path.name.partition(".")[0]
