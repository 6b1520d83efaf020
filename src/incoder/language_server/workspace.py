"""The workspace as far as the model is shown it: the list of its files, and the texts chosen for a request.

Listing asks git, and choosing may read files, so both run in threads; a request waits for the second only.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from incoder.language_server.context.other_files import Context, OpenFile
from incoder.language_server.context.workspace_files import WorkspaceFiles
from incoder.language_server.documents import Document, Documents

_AFTER_SAVE = 2.0  # seconds in which saving more files lists them only once


class Workspace:
    """The files of some folders. `note` gets what went wrong. Used in the event loop's thread only."""

    def __init__(
        self, folders: Sequence[Path], documents: Documents, max_bytes: int, note: Callable[[str], None]
    ) -> None:
        self._documents = documents
        self._note = note
        self._files = WorkspaceFiles(folders)
        self._context = Context(self._files, max_bytes)
        self._choosing = ThreadPoolExecutor(1, "incoder-context")  # one at a time
        self._listing: asyncio.Task[None] | None = None

    def set_max_bytes(self, max_bytes: int) -> None:
        """Show at most this much text of other files from now on."""
        self._context.max_bytes = max_bytes

    def refresh(self, seconds: float = 0.0) -> None:
        """List the files again, in some seconds, unless that is about to happen."""
        if self._listing is None or self._listing.done():
            self._listing = asyncio.create_task(self._list(seconds))

    def saved(self, _: Document) -> None:
        self.refresh(_AFTER_SAVE)

    def closed(self, document: Document) -> None:
        """A closed document's file counts as recently used."""
        if (path := self._documents.path(document)) is not None:
            self._context.closed(path)

    async def other_files(self, document: Document, line: int) -> dict[str, str]:
        """Return the texts to show with a document when the cursor is on a line, the most important last."""
        path = self._documents.path(document)
        if path is None or self._context.max_bytes == 0:
            return {}
        own = _snapshot(path, document)
        others = [
            _snapshot(other.path, other)
            for other in reversed(self._documents.all())
            if other is not document and other.path is not None
        ]
        choose = self._context.files_for
        return await asyncio.get_running_loop().run_in_executor(
            self._choosing, lambda: choose(own, line, others)
        )

    def close(self) -> None:
        if self._listing is not None:
            self._listing.cancel()
        self._choosing.shutdown(wait=False, cancel_futures=True)

    async def _list(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        for problem in await asyncio.to_thread(self._files.refresh):
            self._note(problem)


def _snapshot(path: Path, document: Document) -> OpenFile:
    return OpenFile(path, document.version or 0, list(document.lines))
