"""Counts of suggestions that were shown and accepted, by language. They hold no code."""

import itertools
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from incoder.errors import IncoderError
from incoder.files import make_folder, read_json_object, write_text

_MAX_PENDING = 200  # suggestions whose acceptance may still be reported


@dataclass(slots=True)
class Counts:
    """`shown` suggestions, how many of them were `accepted` whole or in part, and their characters."""

    shown: int = 0
    accepted: int = 0
    partly_accepted: int = 0
    shown_characters: int = 0
    accepted_characters: int = 0


@dataclass(slots=True)
class _Shown:
    language: str
    num_characters: int
    num_accepted: int = 0


@dataclass(slots=True)
class Acceptance:
    """Counts of this session, and of all sessions in `file`, to which `save` adds them."""

    file: Path | None = None
    counts: dict[str, Counts] = field(default_factory=dict)
    _shown: "OrderedDict[str, _Shown]" = field(default_factory=OrderedDict)
    _ids: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)

    def show(self, language: str, text: str) -> str:
        """Count a suggestion that is shown, and return its id.

        >>> acceptance = Acceptance()
        >>> acceptance.accept(acceptance.show("python", "sum(xs)"))
        >>> acceptance.counts["python"].accepted
        1
        """
        shown_id = str(self._ids())
        self._shown[shown_id] = _Shown(language, len(text))
        if len(self._shown) > _MAX_PENDING:
            self._shown.popitem(last=False)
        counts = self.counts.setdefault(language, Counts())
        counts.shown += 1
        counts.shown_characters += len(text)
        return shown_id

    def accept(self, shown_id: str, num_characters: int | None = None) -> None:
        """Count that a suggestion was accepted, or its first `num_characters`.

        Reports about one suggestion add up to at most all of it; of an unknown one they are ignored.
        """
        shown = self._shown.get(shown_id)
        if shown is None:
            return
        counts = self.counts[shown.language]
        end = shown.num_characters if num_characters is None else min(num_characters, shown.num_characters)
        new = max(0, end - shown.num_accepted)
        was_partial = shown.num_accepted > 0
        counts.accepted_characters += new
        shown.num_accepted += new
        if shown.num_accepted >= shown.num_characters:
            counts.accepted += 1
            counts.partly_accepted -= was_partial
            del self._shown[shown_id]
        elif new and not was_partial:
            counts.partly_accepted += 1

    def save(self) -> None:
        """Add the counts of this session to the file, and begin to count again.

        Raises:
            IncoderError: it cannot be written; the counts are kept.
        """
        if self.file is None or not any(one.shown for one in self.counts.values()):
            return
        total = {language: Counts(**asdict(counts)) for language, counts in self.counts.items()}
        for language, before in _read(self.file).items():
            into = total.setdefault(language, Counts())
            for name, number in asdict(before).items():
                setattr(into, name, getattr(into, name) + number)
        make_folder(self.file.parent)
        write_text(self.file, json.dumps({name: asdict(one) for name, one in sorted(total.items())}) + "\n")
        self.counts = {shown.language: Counts() for shown in self._shown.values()}


def _read(file: Path) -> dict[str, Counts]:
    """Return the counts in a file; none if it is missing or has something else in it."""
    try:
        found = read_json_object(file, max_bytes=1_000_000)
        return {str(language): Counts(**_numbers(counts)) for language, counts in found.items()}
    except (IncoderError, TypeError, AttributeError, ValueError):
        return {}


def _numbers(counts: Mapping[str, object]) -> dict[str, int]:
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in counts.values()):
        raise ValueError("counts are whole numbers")
    return {name: int(str(one)) for name, one in counts.items()}
