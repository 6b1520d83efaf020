"""Lists of repositories that a corpus leaves out whole, such as CodeSearchNet's validation and test sets."""

import re
from collections.abc import Iterator
from pathlib import Path

from incoder.corpus.decontamination.decontamination_settings import DecontaminationSettings
from incoder.corpus.decontamination.json_records import json_records, read_text
from incoder.errors import IncoderError

_ADDRESS = re.compile(r"^(?:[a-z+]+://|git@)[^/:]+[/:]|\.git$|/+$", re.IGNORECASE)
_FIELDS = ("repo", "repo_name", "nwo", "full_name", "path_with_namespace")


class ListedRepositories:
    """The projects in the lists of a recipe."""

    def __init__(self, settings: DecontaminationSettings) -> None:
        """Read the lists.

        Raises:
            IncoderError: a list cannot be read, or names nothing.
        """
        self._by_name_alone = settings.by_name_alone
        self._list_of = dict[str, str]()
        for path in settings.repositories:
            names = {name for name in _names(path) if name}
            if not names:
                raise IncoderError(f"{path} must list repositories as owner/name, one a line, and lists none")
            for name in names:
                self._list_of.setdefault(name, path.stem)
                if self._by_name_alone:
                    self._list_of.setdefault(name.rpartition("/")[2], path.stem)

    def reason(self, project: str) -> str | None:
        """Why a project is left out, or None. An entry without an owner means repositories of all owners."""
        project = project.lower()
        found = self._list_of.get(project) or self._list_of.get(project.rpartition("/")[2])
        return f"in repository list: {found}" if found else None


def _names(path: Path) -> Iterator[str]:
    """Lower-cased `owner/name`."""
    text = read_text(path)
    if text.lstrip().startswith(("{", "[")):
        listed: Iterator[str] = (
            str(next((record[field] for field in _FIELDS if record.get(field)), ""))
            for record in json_records(path)
        )
    else:
        listed = (line.partition("#")[0].strip() for line in text.splitlines())
    for name in listed:
        yield _ADDRESS.sub("", _ADDRESS.sub("", name.rstrip("/"))).lower()
