"""The files of a workspace that may be shown to a model: source code, not ignored by git, without secrets.

They are the files that project memory reads (inference/memory/source_files.py). Listing them asks git, so it
is done when a workspace is opened and after files were saved, in a thread; all else reads the last list.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

from incoder.corpus.text.redaction import redact_keys
from incoder.errors import IncoderError
from incoder.inference.memory.source_files import SourceFile, list_source_files, read_text

_MAX_TEXTS = 32  # of files that are not open, kept in memory


class WorkspaceFiles:
    """The files of the folders of a workspace, as they were at the last `refresh`; none before the first."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = [root.resolve() for root in roots]
        self._files: dict[Path, tuple[str, SourceFile]] = {}
        self._texts: OrderedDict[Path, tuple[tuple[int, int, int], str]] = OrderedDict()

    def refresh(self) -> list[str]:
        """List the files of all folders again, and return why a folder could not be listed.

        A folder that cannot be listed has no files: nobody knows which of them git ignores.
        """
        found: dict[Path, tuple[str, SourceFile]] = {}
        problems = []
        for root in self._roots:
            try:
                listed = list_source_files(root)
            except IncoderError as error:
                problems.append(str(error))
                continue
            found |= {root / file.path: (file.path, file) for file in listed}
        self._files = found
        return problems

    def __iter__(self) -> Iterator[Path]:
        return iter(self._files)

    def name_of(self, path: Path) -> str | None:
        """Return a file's path within its folder; None if it may not be shown.

        Links are followed first: a link in the workspace may lead to a file outside of it.
        """
        found = self._files.get(path.resolve())
        return None if found is None else found[0]

    def path_within(self, path: Path) -> str | None:
        """Return the path of any file within its folder, shown or not; None if it is outside."""
        path = path.resolve()
        root = next((root for root in self._roots if path.is_relative_to(root)), None)
        return None if root is None else path.relative_to(root).as_posix()

    def text_of(self, path: Path) -> str | None:
        """Return the text on disk of a file that may be shown, without keys; None for any other."""
        path = path.resolve()
        if path not in self._files:
            return None
        try:
            status = path.lstat()
            signature = (status.st_size, status.st_mtime_ns, status.st_ino)
            if path in self._texts and self._texts[path][0] == signature:
                return self._texts[path][1]
            text = read_text(path)
        except OSError:
            return None
        if text is not None:
            self._texts[path] = (signature, text)
            if len(self._texts) > _MAX_TEXTS:
                self._texts.popitem(last=False)
        return text


def without_keys(text: str) -> str:
    """Return the text of an open document without keys of well-known services.

    >>> without_keys("x = 1")
    'x = 1'
    """
    return redact_keys(text)
