"""The documents that are open in the editor, notebook cells among them, kept true to its changes.

A change costs what it changes and not what the document has: lines are spliced, and texts are joined only
when they are asked for. Knows no model and reads no file.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lsprotocol import types
from pygls.uris import to_fs_path

from incoder.language_server.positions import Encoding, to_column, to_units

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_ENDS = "\r\n"


@dataclass(frozen=True, slots=True)
class Change:
    """`old` was replaced by `new` at a line and a column, both from 0 and in code points."""

    line: int
    column: int
    old: str
    new: str


class Document:
    """An open text. `path` is its file, or None if it has none (an unsaved buffer, a notebook's cell).

    >>> document = Document("file:///a.py", "x = 1\\ny", language_id="python")
    >>> document.before(types.Position(1, 0)), document.after(types.Position(1, 0))
    ('x = 1\\n', 'y')
    """

    def __init__(
        self,
        uri: str,
        text: str,
        *,
        language_id: str = "",
        version: int | None = None,
        encoding: Encoding = Encoding.Utf16,
    ) -> None:
        self.uri = uri
        self.language_id = language_id
        self.version = version
        self.path = path_of(uri)
        self._encoding = encoding
        self._lines = _split(text)
        self._text: str | None = text

    @property
    def lines(self) -> Sequence[str]:
        """The lines with their line ends; the last one has none, and may be empty."""
        return self._lines

    @property
    def text(self) -> str:
        if self._text is None:
            self._text = "".join(self._lines)
        return self._text

    def place(self, position: types.Position) -> tuple[int, int]:
        """Return the line and the column, from 0 and in code points, nearest to a position."""
        if position.line >= len(self._lines):
            return len(self._lines) - 1, len(self._lines[-1])
        line = self._lines[position.line].rstrip(_ENDS)
        return position.line, to_column(line, position.character, self._encoding)

    def position(self, line: int, column: int) -> types.Position:
        """Return the position of a line and a column in the client's units.

        >>> Document("file:///a.py", "x = '😀'").position(0, 6)
        0:7
        """
        return types.Position(line, to_units(self._lines[line], column, self._encoding))

    def offset(self, position: types.Position) -> int:
        """Return the code points of the text before a position."""
        line, column = self.place(position)
        return sum(map(len, self._lines[:line])) + column

    def position_at(self, offset: int) -> types.Position:
        """Return the position after `offset` code points of the text."""
        line = 0
        while line < len(self._lines) - 1 and offset >= len(self._lines[line]):
            offset -= len(self._lines[line])
            line += 1
        return self.position(line, offset)

    def before(self, position: types.Position) -> str:
        """Return the text before a position."""
        line, column = self.place(position)
        return "".join(self._lines[:line]) + self._lines[line][:column]

    def after(self, position: types.Position) -> str:
        """Return the text after a position."""
        line, column = self.place(position)
        return self._lines[line][column:] + "".join(self._lines[line + 1 :])

    def apply(self, change: types.TextDocumentContentChangeEvent, version: int | None = None) -> Change:
        """Apply an editor's change, and return it with the text that it replaced."""
        self.version = version
        if isinstance(change, types.TextDocumentContentChangeWholeDocument):
            replaced = Change(0, 0, self.text, change.text)
            self._lines, self._text = _split(change.text), change.text
            return replaced
        start, end = sorted((self.place(change.range.start), self.place(change.range.end)))
        old = self._between(start, end)
        first, last = start[0], end[0]
        touched = self._lines[first][: start[1]] + change.text + self._lines[last][end[1] :]
        if first > 0 and touched.startswith("\n") and self._lines[first - 1].endswith("\r"):
            first -= 1  # the two become one line end
            touched = self._lines[first] + touched
        spliced = _split(touched)
        if last < len(self._lines) - 1:
            spliced.pop()  # empty: the last touched line ends with a line end
        self._lines[first : last + 1] = spliced
        self._text = None
        return Change(*start, old, change.text)

    def _between(self, start: tuple[int, int], end: tuple[int, int]) -> str:
        (first, left), (last, right) = start, end
        if first == last:
            return self._lines[first][left:right]
        inner = "".join(self._lines[first + 1 : last])
        return self._lines[first][left:] + inner + self._lines[last][:right]


def _split(text: str) -> list[str]:
    """Split a text after each line end that the protocol knows; the last line has none."""
    lines = _LINE.findall(text)
    if len(lines) > 1 and not lines[-2].endswith(("\r", "\n")):
        lines.pop()  # the pattern also matches nothing at the very end
    return lines


@dataclass(slots=True)
class _Notebook:
    uri: str
    cells: list[types.NotebookCell]


OnChange = Callable[[Document, Sequence[Change]], None]
OnEachChange = Callable[[Document, Change], None]
OnDocument = Callable[[Document], None]


@dataclass(slots=True)
class Documents:
    """All open documents by URI. The functions in the lists are called after each event.

    An event may have several changes: `on_each_change` is called when the document is as one has made it.
    `encoding` must be set before the first document is opened.
    """

    encoding: Encoding = Encoding.Utf16
    on_open: list[OnDocument] = field(default_factory=list)
    on_change: list[OnChange] = field(default_factory=list)
    on_each_change: list[OnEachChange] = field(default_factory=list)
    on_save: list[OnDocument] = field(default_factory=list)
    on_close: list[OnDocument] = field(default_factory=list)
    _documents: dict[str, Document] = field(default_factory=dict)
    _notebooks: dict[str, _Notebook] = field(default_factory=dict)
    _notebook_of: dict[str, str] = field(default_factory=dict)  # cells' URIs to notebooks'

    def get(self, uri: str) -> Document | None:
        """Return the open document of this URI, if there is one."""
        return self._documents.get(uri)

    def all(self) -> list[Document]:
        """Return all open documents, the one that was opened or changed last at the end."""
        return list(self._documents.values())

    def open(self, item: types.TextDocumentItem) -> None:
        document = Document(
            item.uri,
            item.text,
            language_id=item.language_id,
            version=item.version,
            encoding=self.encoding,
        )
        self._documents[item.uri] = document
        _call(self.on_open, document)

    def change(
        self,
        identifier: types.VersionedTextDocumentIdentifier,
        changes: Iterable[types.TextDocumentContentChangeEvent],
    ) -> None:
        """Apply the changes in their order. Changes of a document that is not open are ignored."""
        document = self._documents.pop(identifier.uri, None)
        if document is not None:
            self._documents[identifier.uri] = document
            applied = []
            for change in changes:
                applied.append(document.apply(change, identifier.version))
                for follow in self.on_each_change:
                    follow(document, applied[-1])
            for function in self.on_change:
                function(document, applied)

    def saved(self, uri: str) -> None:
        if (document := self.get(uri)) is not None:
            _call(self.on_save, document)

    def close(self, uri: str) -> None:
        document = self._documents.pop(uri, None)
        self._notebook_of.pop(uri, None)
        if document is not None:
            _call(self.on_close, document)

    def open_notebook(self, params: types.DidOpenNotebookDocumentParams) -> None:
        notebook = params.notebook_document
        self._notebooks[notebook.uri] = _Notebook(notebook.uri, list(notebook.cells))
        for item in params.cell_text_documents:
            self._notebook_of[item.uri] = notebook.uri
            self.open(item)

    def change_notebook(self, params: types.DidChangeNotebookDocumentParams) -> None:
        notebook = self._notebooks.get(params.notebook_document.uri)
        changes = params.change.cells
        if notebook is None or changes is None:
            return
        if changes.structure is not None:
            moved = changes.structure.array
            notebook.cells[moved.start : moved.start + moved.delete_count] = moved.cells or []
            for item in changes.structure.did_open or ():
                self._notebook_of[item.uri] = notebook.uri
                self.open(item)
            for closed in changes.structure.did_close or ():
                self.close(closed.uri)
        kinds = {cell.document: cell for cell in changes.data or ()}
        notebook.cells = [kinds.get(cell.document, cell) for cell in notebook.cells]
        for content in changes.text_content or ():
            self.change(content.document, content.changes)

    def close_notebook(self, params: types.DidCloseNotebookDocumentParams) -> None:
        self._notebooks.pop(params.notebook_document.uri, None)
        for cell in params.cell_text_documents:
            self.close(cell.uri)

    def cells_around(self, document: Document) -> tuple[str, str]:
        """Return the code of a notebook's cells before and after one; two empty texts for other documents."""
        notebook = self._notebooks.get(self._notebook_of.get(document.uri, ""))
        if notebook is None:
            return "", ""
        uris = [cell.document for cell in notebook.cells if cell.kind is types.NotebookCellKind.Code]
        if document.uri not in uris:
            return "", ""
        own = uris.index(document.uri)
        before = [self._documents[uri].text for uri in uris[:own] if uri in self._documents]
        after = [self._documents[uri].text for uri in uris[own + 1 :] if uri in self._documents]
        return "".join(f"{text}\n\n" for text in before), "".join(f"\n\n{text}" for text in after)

    def path(self, document: Document) -> Path | None:
        """Return the file of a document; the notebook's for a cell."""
        notebook = self._notebook_of.get(document.uri)
        return document.path if notebook is None else path_of(notebook)


def path_of(uri: str) -> Path | None:
    """Return the path of a file's URI, or None for any other one.

    >>> path_of("file:///tmp/a%20b.py").as_posix(), path_of("untitled:1")
    ('/tmp/a b.py', None)
    """
    if not uri.lower().startswith("file:"):
        return None
    path = to_fs_path(uri)
    return None if not path else Path(path)


def _call(functions: Sequence[OnDocument], document: Document) -> None:
    for function in functions:
        function(document)
