"""The kept documents of a corpus by project, and the dropped files by reason.

The report is a function of recipe and input: it has no times and no names of machines.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from incoder.corpus.sources.source_file import Dropped, DroppedProject, OtherFile, SourceFile
from incoder.corpus.storage.commit import check_files
from incoder.corpus.storage.documents import MANIFEST
from incoder.document import Document
from incoder.errors import IncoderError
from incoder.files import read_json_object

NUM_EXAMPLES = 3
_MAX_BYTES = 4_000_000_000  # of a report: about 150 per project; the paper has 670,000 projects
_COUNTS = ("num_projects", "num_documents", "num_bytes")  # of a split
BOTH_SPLITS = "both"  # of a project whose files are divided


@dataclass(slots=True)
class ProjectCount:
    """The kept documents of one project."""

    source: str
    licence: str | None
    version: str | None
    split: str = ""
    num_documents: int = 0
    num_bytes: int = 0


@dataclass(slots=True)
class DropCount:
    """The files dropped for one reason. The first ones are examples: project, path, sometimes a detail."""

    num_files: int = 0
    num_bytes: int = 0
    examples: list[tuple[str, ...]] = field(default_factory=list)


@dataclass(slots=True)
class Clusters:
    """Clusters of duplicates: the number of clusters of each size, and the largest ones.

    A size counts all documents of a cluster, the kept one included. `largest` has the size of a cluster with
    the project and path of its kept document.
    """

    sizes: Counter[int]
    largest: list[tuple[int, str, str]]


class Report:
    """Counts while a corpus is built."""

    def __init__(self) -> None:
        self.projects: dict[str, ProjectCount] = {}
        self.dropped: defaultdict[str, DropCount] = defaultdict(DropCount)
        self.dropped_projects: list[DroppedProject] = []
        self.other_files: defaultdict[str, Counter[str]] = defaultdict(Counter)  # by project and extension
        self._splits = defaultdict[str, Counter[str]](Counter)
        self.notes: list[str] = []  # for the user: what was unusual in the build
        self.clusters: dict[str, Clusters] = {}  # by the reason of the drops

    def on_drop(self, dropped: Dropped | DroppedProject | OtherFile) -> None:
        if isinstance(dropped, OtherFile):
            self.other_files[encodable(dropped.project)][dropped.extension] += 1
            return
        if isinstance(dropped, DroppedProject):
            self.dropped_projects.append(replace(dropped, project=encodable(dropped.project)))
            return
        count = self.dropped[dropped.reason]
        count.num_files += 1
        count.num_bytes += dropped.num_bytes
        if self.takes_examples_of(dropped.reason):
            detail = [dropped.detail] if dropped.detail else []
            count.examples.append(tuple(map(encodable, (dropped.project, dropped.path, *detail))))

    def takes_examples_of(self, reason: str) -> bool:
        """Whether the next file dropped for this reason will be an example."""
        return reason not in self.dropped or len(self.dropped[reason].examples) < NUM_EXAMPLES

    def add_project(self, file: SourceFile) -> None:
        """Add the project of this file to the report, even if nothing of it is kept."""
        project = encodable(file.project)
        if project not in self.projects:
            self.projects[project] = ProjectCount(file.source, file.licence, file.version)

    def add_project_of(self, document: Document) -> None:
        """Add the project of a document from a source whose files are not listed before they are read."""
        if document.project not in self.projects:
            self.projects[document.project] = ProjectCount(document.source, document.licence, None)

    def add_kept(self, project: str, split: str, num_documents: int, num_bytes: int) -> None:
        """Count kept documents of a project that is in the report."""
        count = self.projects[project]
        count.split = split if count.split in ("", split) else BOTH_SPLITS
        count.num_documents += num_documents
        count.num_bytes += num_bytes
        of_split = self._splits[split]
        of_split["num_projects"] += 1
        of_split["num_documents"] += num_documents
        of_split["num_bytes"] += num_bytes

    def merge(self, other: "Report") -> None:
        """Add the counts of `other`, which is of later shards and must not be used afterwards."""
        for project, added in other.projects.items():
            self.projects.setdefault(project, added)
        for reason, dropped in other.dropped.items():
            count = self.dropped[reason]
            count.num_files += dropped.num_files
            count.num_bytes += dropped.num_bytes
            count.examples += dropped.examples[: NUM_EXAMPLES - len(count.examples)]
        self.dropped_projects += other.dropped_projects
        for project, extensions in other.other_files.items():
            self.other_files[project] += extensions

    def set_splits(self, split_of: Callable[[str], str]) -> None:
        """Set the split of the projects without kept documents."""
        for project, count in self.projects.items():
            count.split = count.split or split_of(project)

    @property
    def num_documents(self) -> int:
        return sum(count.num_documents for count in self.projects.values())

    def as_dict(self, splits: tuple[str, ...], sha256: dict[str, str]) -> dict[str, Any]:
        """The content of `report.json`; `sha256` are the digests of the files beside it."""
        return {
            "splits": {split: {name: self._splits[split][name] for name in _COUNTS} for split in splits},
            "projects": {name: asdict(count) for name, count in sorted(self.projects.items())},
            "dropped": {reason: asdict(count) for reason, count in sorted(self.dropped.items())},
            "clusters": {
                reason: {"sizes": dict(sorted(found.sizes.items())), "largest": found.largest}
                for reason, found in sorted(self.clusters.items())
            },
            "dropped_projects": [asdict(dropped) for dropped in self.dropped_projects],
            "other_files": {
                project: dict(sorted(extensions.items()))
                for project, extensions in sorted(self.other_files.items())
            },
            "notes": self.notes,
            "sha256": sha256,
        }

    def num_documents_of(self, split: str) -> int:
        return self._splits[split]["num_documents"]


def encodable(name: str) -> str:
    """The name with each byte that is not UTF-8 escaped (`\\udcff`), since a report is JSON."""
    return name.encode("utf-8", "backslashreplace").decode()


def read_report(folder: Path) -> dict[str, Any]:
    """Read the report of a finished corpus, as `Report.as_dict` made it.

    Raises:
        IncoderError: there is no finished corpus, or the file is damaged.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise IncoderError(
            f"there is no corpus in {folder}; make one with: incoder corpus build RECIPE --output {folder}"
        )
    try:
        report = read_json_object(path, max_bytes=_MAX_BYTES)
    except IncoderError as error:
        raise IncoderError(f"{error}; build the corpus again") from error
    if not {"splits", "projects", "dropped", "sha256"} <= report.keys():
        raise IncoderError(f"{path} is not the report of a corpus; build the corpus again")
    return report


def check_corpus(folder: Path) -> None:
    """Read all files of a corpus and check that every byte is as it was built.

    Raises:
        IncoderError: there is no finished corpus, or a file of it was changed or removed.
    """
    check_files(folder, read_report(folder)["sha256"], MANIFEST, "build the corpus again")
