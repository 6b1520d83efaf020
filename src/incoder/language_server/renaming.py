"""textDocument/rename for Python: a name changed everywhere in its file, or the reason why it cannot be.

The tool refuses a name that other files of the workspace use, since they would still have the old one.
"""

import asyncio
import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from incoder.errors import IncoderError
from incoder.file_listing import walk_files
from incoder.language_server.context.workspace_files import WorkspaceFiles
from incoder.language_server.documents import Document
from incoder.language_server.progress import with_progress
from incoder.language_server.secret_files import is_secret
from incoder.language_server.server import Server

_NAME = re.compile(r"[^\W\d]\w*")
_COPIES = frozenset({"build", "dist"})  # folders with copies of what is elsewhere
_MAX_FILES = 256  # that use the name and are sent along
_MAX_BYTES = 2_000_000
_REFUSED = -32803  # RequestFailed


class RefusedError(JsonRpcException):
    """A renaming that is refused with its reason."""

    CODE = _REFUSED
    MESSAGE = "refused"

    @classmethod
    def supports_code(cls, code: int) -> bool:
        return code == cls.CODE


@dataclass(frozen=True, slots=True)
class Found:
    """A name in a document, and its range."""

    name: str
    range: types.Range


class Renamer:
    """Renames in the documents of one editor."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def body(self, document: Document, position: types.Position, name: str) -> dict[str, Any]:
        """Return what the tool is asked: the variable on the position's line, and who else uses its name.

        Raises:
            IncoderError: more files may use the name than can be looked at, or one that is not read.
        """
        line = document.place(position)[0] + 1
        others = await asyncio.to_thread(self._users, document, name)
        return {"name": name, "lines": str(line), "other_files": others}

    async def renamed(self, params: types.RenameParams) -> types.WorkspaceEdit:
        """Return the edits of a renaming.

        Raises:
            RefusedError: the tool refuses it.
        """
        document = self._document(params.text_document.uri)
        found = None if document is None else name_at(document, params.position)
        if document is None or found is None:
            raise RefusedError("InCoder renames names in Python files")
        version = document.version
        try:
            body = await self.body(document, params.position, found.name)
            body |= {"text": document.text, "to": params.new_name, "path": self._name(document)}
            work, token = self._server.model.post("/v1/edit/rename", body), params.work_done_token
            if token is not None:  # a renaming is short, so it is only shown where the editor asks for it
                work = with_progress(self._server, "InCoder: renaming", work, token=token)
            answer = await work
        except IncoderError as error:
            raise RefusedError(str(error)) from error
        if document.version != version:
            raise RefusedError("the text has changed meanwhile; try again")
        edits = [edit for change in answer["changes"] for edit in change["candidates"][0]["edits"]]
        return workspace_edit(self._server, document, edits)

    def found(self, uri: str, position: types.Position) -> Found | None:
        """Return the name at a position of a Python file."""
        document = self._document(uri)
        return None if document is None else name_at(document, position)

    def _document(self, uri: str) -> Document | None:
        document = self._server.documents.get(uri)
        settings = self._server.settings
        if document is None or document.language_id != "python":
            return None
        return None if is_secret(document.path, settings.secret_files) else document

    def _name(self, document: Document) -> str:
        return "untitled.py" if document.path is None else document.path.name

    def _users(self, document: Document, name: str) -> dict[str, str]:
        """Return the other Python files of the workspace that may use the name of this one's variable."""
        own = document.path
        folder = self._server.folder_of(own)
        if own is None or folder is None:
            return {}
        files = WorkspaceFiles([folder])
        if problems := files.refresh():
            raise IncoderError(problems[0])
        module = own.parent.name if own.stem == "__init__" else own.stem
        uses = re.compile(rf"\b{re.escape(name)}\b")
        of_module = re.compile(rf"\b{re.escape(module)}\b|\b{re.escape(name)}\s*=")
        opened = {one.path: one.text for one in self._server.documents.all() if one.path is not None}
        found: dict[str, str] = {}
        for relative in walk_files(folder):
            path = folder / relative
            if path.suffix != ".py" or path == own or _COPIES & set(relative.parts):
                continue
            text = opened.get(path) or _text(path)
            if uses.search(text) and of_module.search(text):
                if files.name_of(path) is None:  # ignored by git, or it may hold secrets
                    raise IncoderError(f"{relative} may use {name}, and is a file that is not read")
                found[relative.as_posix()] = text
        if len(found) > _MAX_FILES or sum(map(len, found.values())) > _MAX_BYTES:
            raise IncoderError(f"{len(found)} other files may use {name}; rename it with: incoder rename")
        return found


def name_at(document: Document, position: types.Position) -> Found | None:
    """Return the name that a position is in or at the end of; keywords are none."""
    number, column = document.place(position)
    for match in _NAME.finditer(document.lines[number]):
        if match.start() <= column <= match.end() and not keyword.iskeyword(match[0]):
            start, end = (document.position(number, place) for place in match.span())
            return Found(match[0], types.Range(start, end))
    return None


def workspace_edit(
    server: Server, document: Document, edits: Iterable[Mapping[str, Any]]
) -> types.WorkspaceEdit:
    """Return edits of a document's present version, whose ranges count characters, as the editor reads them.

    An editor that knows versions refuses them if its text is a newer one.
    """
    changes = [
        types.TextEdit(
            types.Range(document.position_at(edit["start"]), document.position_at(edit["end"])), edit["text"]
        )
        for edit in edits
    ]
    workspace = server.client_capabilities.workspace
    announced = None if workspace is None else workspace.workspace_edit
    if announced is None or not announced.document_changes:
        return types.WorkspaceEdit(changes={document.uri: changes})
    identifier = types.OptionalVersionedTextDocumentIdentifier(uri=document.uri, version=document.version)
    return types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(identifier, [*changes])])


def register(server: Server) -> Renamer:
    """Add the requests, and return what the code actions share with them."""
    renamer = Renamer(server)

    @server.feature(
        types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True, work_done_progress=True)
    )
    async def rename(params: types.RenameParams) -> types.WorkspaceEdit:
        return await renamer.renamed(params)

    @server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    def prepare_rename(params: types.PrepareRenameParams) -> types.PrepareRenamePlaceholder | None:
        found = renamer.found(params.text_document.uri, params.position)
        return None if found is None else types.PrepareRenamePlaceholder(found.range, found.name)

    return renamer


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
