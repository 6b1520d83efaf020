"""The other files that a request for a suggestion shows to the model.

First come the parts of other open and recently edited files that are most like the lines around the cursor,
then the declarations of imported names, which are nearest to the hole. All of it has at most as many bytes as
the settings allow. It is chosen anew only when the cursor has moved away, another file has changed, or an
import has: while a user types, the model reads the same text.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from incoder.language_server.context.declarations import Import, declarations, file_of, imports_of
from incoder.language_server.context.similarity import FileWords, most_similar, words_around
from incoder.language_server.context.workspace_files import WorkspaceFiles, without_keys

DEFAULT_MAX_BYTES = 3000  # about 900 tokens
_NEAR = 12  # lines that the cursor moves before other files are chosen
_MAX_WINDOWS = 6
_MAX_RECENT = 10
_IMPORT_LINES = 200  # at the start of a file
_MAX_WORDS = 32  # files whose words are kept


@dataclass(frozen=True, slots=True)
class OpenFile:
    """An open document: its file, the version that the editor counts, and its lines with their ends."""

    path: Path
    version: int
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Chosen:
    line: int
    key: tuple[object, ...]
    files: dict[str, str]


class Context:
    """Chooses what the model reads of a workspace; nothing if `max_bytes` is 0."""

    def __init__(self, workspace: WorkspaceFiles, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._workspace = workspace
        self._recent: OrderedDict[Path, None] = OrderedDict()
        self._words: OrderedDict[Path, tuple[object, FileWords]] = OrderedDict()
        self._chosen: OrderedDict[Path, _Chosen] = OrderedDict()

    def closed(self, path: Path) -> None:
        """Note a document that was edited and closed, so that its file counts as recent."""
        self._recent[path] = None
        self._recent.move_to_end(path)
        if len(self._recent) > _MAX_RECENT:
            self._recent.popitem(last=False)

    def files_for(self, own: OpenFile, line: int, others: Iterable[OpenFile]) -> dict[str, str]:
        """Return texts by path within the workspace, the most important last, for a cursor on `line`.

        `others` are the other open documents, the one used last first. A document outside of the workspace
        gets nothing of it.
        """
        name = self._workspace.path_within(own.path)
        if self.max_bytes <= 0 or name is None:
            return {}
        others = [one for one in others if self._workspace.name_of(one.path) and one.path != own.path]
        head = "".join(own.lines[:_IMPORT_LINES])
        imports = imports_of(head, PurePosixPath(name))
        key = (self.max_bytes, tuple(imports), tuple((one.path, one.version) for one in others))
        chosen = self._chosen.get(own.path)
        if chosen is None or chosen.key != key or abs(chosen.line - line) > _NEAR:
            chosen = self._chosen[own.path] = _Chosen(
                line, key, self._choose(own, line, others, imports, name)
            )
            if len(self._chosen) > _MAX_RECENT:
                self._chosen.popitem(last=False)
        return dict(chosen.files)

    def _choose(
        self, own: OpenFile, line: int, others: Sequence[OpenFile], imports: Sequence[Import], name: str
    ) -> dict[str, str]:
        declared = _fitting(self._declared(name, imports), self.max_bytes // 2)
        left = self.max_bytes - sum(_size(*item) for item in declared.items())
        files = _fitting(self._similar(own, line, others), left)
        for name, text in declared.items():
            files[name] = files.pop(name, "") + text  # last
        return files

    def _declared(self, name: str, imports: Sequence[Import]) -> dict[str, str]:
        """Return the declarations of imported names by file, in the order of the imports."""
        if not imports:
            return {}
        paths = {path: file for file in self._workspace if (path := self._workspace.name_of(file))}
        found: dict[str, str] = {}
        for one in imports:
            file = file_of(one, PurePosixPath(name), paths)
            text = None if file is None or file == name else self._workspace.text_of(paths[file])
            if (
                file is not None
                and text is not None
                and (part := declarations(text, one.names, PurePosixPath(file)))
            ):
                found[file] = found.get(file, "") + part
        return found

    def _similar(self, own: OpenFile, line: int, others: Sequence[OpenFile]) -> dict[str, str]:
        """Return the most similar parts of other files by file, the best first."""
        candidates = [(one.path, self._words_of(one.path, one.version, one.lines)) for one in others]
        for path in reversed(self._recent):
            if path != own.path and all(path != one.path for one in others):
                text = self._workspace.text_of(path)
                if text is not None:
                    candidates.append(
                        (path, self._words_of(path, hash(text), text.splitlines(keepends=True)))
                    )
        words = words_around(own.lines, line)
        windows = most_similar([words_of_file for _, words_of_file in candidates], words, _MAX_WINDOWS)
        found: dict[str, str] = {}
        for window in windows:
            path, file = candidates[window.file]
            name, part = self._workspace.name_of(path), "".join(file.lines[window.first : window.end])
            if name is not None:
                found[name] = "\n".join([*([found[name]] if name in found else []), without_keys(part)])
        return found

    def _words_of(self, path: Path, version: object, lines: Sequence[str]) -> FileWords:
        kept = self._words.get(path)
        if kept is None or kept[0] != version:
            kept = self._words[path] = (version, FileWords(lines))
            if len(self._words) > _MAX_WORDS:
                self._words.popitem(last=False)
        return kept[1]


def _fitting(files: Mapping[str, str], max_bytes: int) -> dict[str, str]:
    """Return the first files that fit, in reverse order; of the one that does not, its first lines.

    >>> _fitting({"a.py": "a = 1\\n", "b.py": "b = 2\\nc = 3\\n"}, 20)
    {'b.py': 'b = 2\\n', 'a.py': 'a = 1\\n'}
    """
    kept: list[tuple[str, str]] = []
    left = max_bytes
    for name, text in files.items():
        left -= _size(name, "")
        part = []
        for line in text.splitlines(keepends=True):
            left -= _size("", line)
            if left < 0:
                break
            part.append(line)
        if part:
            kept.append((name, "".join(part)))
        if left < 0:
            break
    return dict(reversed(kept))


def _size(name: str, text: str) -> int:
    return len((name + text).encode("utf-8", "surrogatepass"))
