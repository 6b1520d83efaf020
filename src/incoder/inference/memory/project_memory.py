"""The memory of one project: opened for a folder, refreshed, and asked for the prior of a request.

The index is read from a cache folder, if one is given, and stored there again when it has changed. If that
fails, it is kept in memory, with a note, and the request is answered all the same.
"""

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path, PurePath

from incoder.errors import IncoderError
from incoder.inference.memory import storage
from incoder.inference.memory.index import OnProgress, ProjectIndex, updated
from incoder.inference.memory.lookup import WeightedSegment
from incoder.inference.memory.mixing import DEFAULT_WEIGHTS, MixingWeights
from incoder.inference.memory.prior import MemoryPrior
from incoder.inference.memory.segment import Segment
from incoder.inference.prompts.line_endings import as_model_sees
from incoder.tokenizer.text_tokenizer import TextTokenizer

OPEN_FILE_WEIGHT = 3  # how much the open file's text counts, beside 1 for the project's other files

_NUM_UNCERTAIN = 3  # tokens before a hole
_MAX_CHUNKS = 4096  # of open texts, whose token ids are kept between keystrokes
_PROBE = "def f(x_1):\n\treturn  'é' + 1.5\r\n\n"
_CHUNKS = re.compile(r"(?<=\n\n)(?!\n)")


class ProjectMemory:
    """The memory of one project for one vocabulary.

    `folder` has the indexes of all projects; None stores none. `on_note` gets messages for the user, such as
    that a damaged index was built anew. Each `refresh` looks at the files on disk; between two of them the
    answers are the same. The saved versions of `hidden_files` are never seen. Several threads may use it at
    once.
    """

    def __init__(
        self,
        root: Path,
        tokenizer: TextTokenizer,
        *,
        weights: MixingWeights = DEFAULT_WEIGHTS,
        end_ids: Collection[int] = (),
        folder: Path | None = None,
        max_bytes: int = storage.DEFAULT_MAX_BYTES,
        hidden_files: Collection[str | PurePath] = (),
        on_note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.root = root.resolve()
        self._tokenizer = tokenizer
        self._weights = weights
        self._end_ids = end_ids
        self._max_bytes = max_bytes
        self._hidden_files = tuple(hidden_files)
        self._on_note = on_note
        self._folder = (
            None if folder is None else folder / storage.project_key(root, vocabulary_of(tokenizer))
        )
        self._lock = threading.RLock()
        self._index: ProjectIndex | None = None
        self._chunks = OrderedDict[str, list[int]]()
        self._project_segments: tuple[ProjectIndex, frozenset[str], list[WeightedSegment]] | None = None

    def refresh(self, on_progress: OnProgress | None = None) -> ProjectIndex:
        """Bring the index up to date with the files on disk, and store it if it has changed.

        Raises:
            IncoderError: the project cannot be listed.
        """
        with self._lock:
            return self._refreshed(on_progress)

    def _refreshed(self, on_progress: OnProgress | None) -> ProjectIndex:
        before = self._index if self._index is not None else self._stored()
        index = updated(before, self.root, self._tokenizer, on_progress)
        self._index = index
        if index is not before:
            self._store(index)
            if index.num_left_out and index.num_left_out != before.num_left_out:
                self._on_note(
                    f"project memory leaves out the last {index.num_left_out:,} files of {self.root}, which "
                    "is too large; name folders that it need not know in an .incoderignore file"
                )
        return index

    def prior(
        self,
        texts: Sequence[str] = (),
        path: str | PurePath | None = None,
        *,
        left_out: Collection[str] = (),
    ) -> MemoryPrior:
        """The prior for filling the holes between `texts`, or for completing the only one.

        The saved version of the file at `path`, relative to the current folder or else to the project, is
        not seen: `texts` replace it. Neither are the files `left_out`, named by their paths in the project,
        with slashes.

        Raises:
            IncoderError: the project cannot be listed.
        """
        with self._lock:
            index = self._index if self._index is not None else self.refresh()
            names = [self._names_of(file, index) for file in (path, *self._hidden_files)]
            hidden = frozenset(left_out).union(*names)
            segments = self._segments_without(hidden, index)
            sequences = self._open_sequences(texts)
        if sequences:
            buffer, _ = Segment.build(sequences, self._tokenizer.vocab_size)
            segments = [WeightedSegment(buffer, OPEN_FILE_WEIGHT), *segments]
        return MemoryPrior(
            [one for one in segments if one.segment.num_positions], self._weights, self._end_ids
        )

    def _open_sequences(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of the open texts, without the last ones before a hole or the cursor.

        A cut may be inside a token, and what is spelled there by parts of tokens must not count as a model's
        continuation.
        """
        sequences = [self._encode(text) for text in as_model_sees(texts)] if texts else []
        before_cuts = sequences[:-1] or sequences
        cut = [sequence[:-_NUM_UNCERTAIN] for sequence in before_cuts]
        return [sequence for sequence in (*cut, *sequences[len(cut) :]) if sequence]

    def _segments_without(self, hidden: frozenset[str], index: ProjectIndex) -> list[WeightedSegment]:
        """The project's segments, built again only if something has changed since the last call."""
        last = self._project_segments
        if last is None or last[0] is not index or last[1] != hidden:
            last = (index, hidden, index.weighted(self._tokenizer.vocab_size, hidden))
            self._project_segments = last
        return last[2]

    def _names_of(self, path: str | PurePath | None, index: ProjectIndex) -> frozenset[str]:
        """The names in the project of the file at `path`: as written, with links followed, and by its inode.

        The inode finds hard links, and other spellings on file systems that ignore case.
        """
        if path is None:
            return frozenset()
        names = set[str]()
        with suppress(OSError):
            inode = Path(path).stat().st_ino
            names |= {name for name, file in index.files.items() if file.inode == inode}
        # A client that is not here names a file by its path in the project.
        elsewhere = () if Path(path).exists() else (self.root / path,)
        for whole in (Path(path).absolute(), Path(path).resolve(), *elsewhere):
            if whole.is_relative_to(self.root):
                names.add(whole.relative_to(self.root).as_posix())
        return frozenset(names)

    def _encode(self, text: str) -> list[int]:
        """The ids of an open text, in chunks that end with a blank line: a keystroke changes one."""
        chunks = _CHUNKS.split(text)
        missing = list(dict.fromkeys(chunk for chunk in chunks if chunk not in self._chunks))
        for chunk, ids in zip(missing, self._tokenizer.encode_batch(missing), strict=True):
            self._chunks[chunk] = ids
        token_ids: list[int] = []
        for chunk in chunks:
            self._chunks.move_to_end(chunk)
            token_ids += self._chunks[chunk]
        while len(self._chunks) > _MAX_CHUNKS:
            self._chunks.popitem(last=False)
        return token_ids

    def _stored(self) -> ProjectIndex:
        if self._folder is not None:
            try:
                found = storage.read_index(self._folder, self._tokenizer.vocab_size)
            except IncoderError as error:
                self._on_note(f"project memory is not read, and is built again: {error}")
            except storage.DamagedIndexError as damage:
                self._on_note(f"the project memory of {self.root} was damaged ({damage}); it is built anew")
                storage.discard(self._folder)
            else:
                if found is not None:
                    return found
        return ProjectIndex({})

    def _store(self, index: ProjectIndex) -> None:
        if self._folder is not None:
            try:
                storage.write_index(self._folder, index, self.root, self._max_bytes)
            except IncoderError as error:
                self._on_note(f"project memory is not stored, and is built again next time: {error}")


def vocabulary_of(tokenizer: TextTokenizer) -> str:
    """A digest that differs where token ids do."""
    digest = hashlib.blake2b(digest_size=16)
    for token_id in range(tokenizer.vocab_size):
        digest.update(tokenizer.token_bytes(token_id) + b"\0")
    digest.update(repr(tokenizer.encode(_PROBE)).encode())
    return digest.hexdigest()
