"""What a corpus holds and what was left out, project by project and reason by reason.

The same recipe and input give the same report: no times, no machine names.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from incoder.corpus.sources.source_file import Dropped, DroppedProject, SourceFile
from incoder.corpus.storage.commit import check_files
from incoder.corpus.storage.documents import MANIFEST
from incoder.document import Document
from incoder.errors import IncoderError

NUM_EXAMPLES = 3


@dataclass(slots=True)
class ProjectCount:
    """What was kept of one project."""

    source: str
    licence: str | None
    version: str | None
    split: str = ""
    num_documents: int = 0
    num_bytes: int = 0


@dataclass(slots=True)
class DropCount:
    """What was dropped for one reason; the examples are the first ones met: project, path, maybe more."""

    num_files: int = 0
    num_bytes: int = 0
    examples: list[tuple[str, ...]] = field(default_factory=list)


@dataclass(slots=True)
class Clusters:
    """Documents that are alike: how many clusters there are of each size, the duplicate that stays included.

    Of the largest there are the size and the project and path of that duplicate.
    """

    sizes: Counter[int]
    largest: list[tuple[int, str, str]]


class Report:
    """Counts while a corpus is built."""

    def __init__(self) -> None:
        self.projects: dict[str, ProjectCount] = {}
        self.dropped: defaultdict[str, DropCount] = defaultdict(DropCount)
        self.dropped_projects: list[DroppedProject] = []
        self.clusters: dict[str, Clusters] = {}  # by the reason that the duplicates are dropped for

    def on_drop(self, dropped: Dropped | DroppedProject) -> None:
        if isinstance(dropped, DroppedProject):
            self.dropped_projects.append(replace(dropped, project=_encodable(dropped.project)))
            return
        count = self.dropped[dropped.reason]
        count.num_files += 1
        count.num_bytes += dropped.num_bytes
        if self.takes_examples_of(dropped.reason):
            detail = [dropped.detail] if dropped.detail else []
            count.examples.append(tuple(map(_encodable, (dropped.project, dropped.path, *detail))))

    def takes_examples_of(self, reason: str) -> bool:
        """Whether the next file dropped for this reason will be named."""
        return reason not in self.dropped or len(self.dropped[reason].examples) < NUM_EXAMPLES

    def add_project(self, file: SourceFile) -> None:
        """Have the project of this file in the report, also if nothing of it is kept."""
        project = _encodable(file.project)
        if project not in self.projects:
            self.projects[project] = ProjectCount(file.source, file.licence, file.version)

    def add_project_of(self, document: Document) -> None:
        """Have the project of this document in the report, where nothing was listed before it was read."""
        if document.project not in self.projects:
            self.projects[document.project] = ProjectCount(document.source, document.licence, None)

    def add_kept(self, project: str, num_documents: int, num_bytes: int) -> None:
        """Count documents of a project that is in the report."""
        count = self.projects[project]
        count.num_documents += num_documents
        count.num_bytes += num_bytes

    def merge(self, other: "Report") -> None:
        """Count as well what `other` counted of shards that come after; it must not be used any more."""
        for project, added in other.projects.items():
            if self.projects.setdefault(project, added) is not added:
                self.add_kept(project, added.num_documents, added.num_bytes)
        for reason, dropped in other.dropped.items():
            count = self.dropped[reason]
            count.num_files += dropped.num_files
            count.num_bytes += dropped.num_bytes
            count.examples += dropped.examples[: NUM_EXAMPLES - len(count.examples)]
        self.dropped_projects += other.dropped_projects

    def set_splits(self, split_of: Callable[[str], str]) -> None:
        """Say which split each project is in."""
        for project, count in self.projects.items():
            count.split = split_of(project)

    @property
    def num_documents(self) -> int:
        return sum(count.num_documents for count in self.projects.values())

    def as_dict(self, splits: tuple[str, ...], sha256: dict[str, str]) -> dict[str, Any]:
        """What `report.json` holds; `sha256` are the digests of the files beside it."""
        return {
            "splits": {split: self._split(split) for split in splits},
            "projects": {name: asdict(count) for name, count in sorted(self.projects.items())},
            "dropped": {reason: asdict(count) for reason, count in sorted(self.dropped.items())},
            "clusters": {
                reason: {"sizes": dict(sorted(found.sizes.items())), "largest": found.largest}
                for reason, found in sorted(self.clusters.items())
            },
            "dropped_projects": [asdict(dropped) for dropped in self.dropped_projects],
            "sha256": sha256,
        }

    def _split(self, split: str) -> dict[str, int]:
        counts = [count for count in self.projects.values() if count.split == split]
        return {
            "num_projects": sum(count.num_documents > 0 for count in counts),
            "num_documents": sum(count.num_documents for count in counts),
            "num_bytes": sum(count.num_bytes for count in counts),
        }


def _encodable(name: str) -> str:
    """The name with `\\udcff` for a byte that is no UTF-8: a file system has any names, a report is JSON."""
    return name.encode("utf-8", "backslashreplace").decode()


def read_report(folder: Path) -> dict[str, Any]:
    """The report of a finished corpus, as `Report.as_dict` made it.

    Raises:
        IncoderError: there is no finished corpus, or the file is damaged.
    """
    path = folder / MANIFEST
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise IncoderError(
            f"there is no corpus in {folder}; make one with: incoder corpus build RECIPE --output {folder}"
        ) from error
    except OSError as error:
        raise IncoderError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise IncoderError(f"{path} is damaged ({error}); build the corpus again") from error
    if not isinstance(report, dict) or not {"splits", "projects", "dropped", "sha256"} <= report.keys():
        raise IncoderError(f"{path} is not the report of a corpus; build the corpus again")
    return report


def check_corpus(folder: Path) -> None:
    """Read a corpus whole and complain unless it is, to the byte, what was built.

    Raises:
        IncoderError: there is no finished corpus, or a file of it was changed or removed.
    """
    check_files(folder, read_report(folder)["sha256"], MANIFEST, "build the corpus again")
