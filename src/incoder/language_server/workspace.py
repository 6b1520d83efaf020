"""The workspace as far as the model is shown it: its files, the texts chosen for a request, project memory.

Listing asks git, and choosing may read files, so both run in threads; a request waits for the second only.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from incoder.errors import IncoderError
from incoder.language_server.context.other_files import Context, OpenFile
from incoder.language_server.context.workspace_files import WorkspaceFiles
from incoder.language_server.documents import Document, Documents

Remember = Callable[[Path], Awaitable[object]]

_AFTER_SAVE = 2.0  # seconds in which saving more files lists them only once


class Workspace:
    """The files of some folders. Used in the event loop's thread only.

    `remember` brings a folder's project memory up to date and may raise IncoderError; it is None if there is
    to be none. `note` gets what went wrong.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        documents: Documents,
        max_bytes: int,
        remember: Remember | None,
        note: Callable[[str], None],
    ) -> None:
        self._folders = folders
        self._documents = documents
        self._remember = remember
        self._remembered: set[Path] = set()
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

    def ask_for_memory(self) -> None:
        """Name no project to a model server that does not know it yet, and let it look at the folders."""
        self._remembered.clear()
        self.refresh()

    def project_of(self, path: Path | None) -> Path | None:
        """Return the innermost folder that contains a file, if there is project memory of it."""
        inside = [one for one in self._remembered if path is not None and path.is_relative_to(one)]
        return max(inside, key=lambda one: len(one.parts), default=None)

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
        if (remember := self._remember) is None:
            return
        for folder in self._folders:
            try:
                await remember(folder)
            except IncoderError as error:
                self._note(f"no project memory of {folder}: {error}")
            else:
                self._remembered.add(folder)


def _snapshot(path: Path, document: Document) -> OpenFile:
    return OpenFile(path, document.version or 0, list(document.lines))
