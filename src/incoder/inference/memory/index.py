"""The index of one project: which file's tokens are where in which segment, updated as files change.

An index is immutable; `updated` returns the index of the project as it is on disk now. It has two segments at
most: a large one, and a small one with the files that have changed since. When the new and removed tokens
become a quarter of the large one, all are sorted into one again. This needs only their tokens, so nothing is
read or encoded twice. Does not know where indexes are stored.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from incoder.inference.memory.encoding import encode_texts
from incoder.inference.memory.lookup import WeightedSegment
from incoder.inference.memory.segment import Segment, Span, TokenIds
from incoder.inference.memory.source_files import SourceFile, list_source_files, read_text
from incoder.inference.prompts.line_endings import as_model_sees
from incoder.tokenizer.text_tokenizer import TextTokenizer

MAX_PROJECT_BYTES = 32_000_000  # of source text; the files that come last by path are left out

_MERGE_SHARE = 4  # a quarter of the large segment may be new or gone
_BATCH_BYTES = 4_000_000  # text that is encoded together
_MIN_AGE_NS = 2_000_000_000  # a file touched so recently may change again within the clock's resolution

OnProgress = Callable[[int, int], None]  # bytes read, and bytes to read


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file in the index: its signature and digest; `span` is in segment number `segment`.

    A file whose content is not remembered has no segment, so that it is not read again.
    """

    signature: tuple[int, int, int]
    digest: str
    segment: int | None
    span: Span

    @property
    def inode(self) -> int:
        """The number that the file system knows the file by."""
        return self.signature[2]


@dataclass(frozen=True, slots=True)
class ProjectIndex:
    """The files of a project and their segments; `num_left_out` files were too many for it."""

    files: Mapping[str, IndexedFile]
    segments: tuple[Segment, ...] = ()
    num_left_out: int = 0

    @property
    def num_tokens(self) -> int:
        """The tokens that can be found."""
        return sum(file.span.length for file in self.files.values())

    @property
    def num_files(self) -> int:
        """The files that can be found."""
        return sum(file.segment is not None for file in self.files.values())

    def hidden_spans(self, left_out: Collection[str] = ()) -> tuple[tuple[Span, ...], ...]:
        """For each segment the spans that must not be found: of changed, deleted and left out files."""
        shown: list[list[Span]] = [[] for _ in self.segments]
        for path, file in self.files.items():
            if file.segment is not None and path not in left_out:
                shown[file.segment].append(file.span)
        return tuple(
            _gaps(sorted(spans, key=lambda span: span.start), segment.num_places)
            for spans, segment in zip(shown, self.segments, strict=True)
        )

    def weighted(self, vocab_size: int, left_out: Collection[str] = ()) -> list[WeightedSegment]:
        """The segments for lookups, and one with weight -1 that subtracts the hidden spans."""
        hidden = self.hidden_spans(left_out)
        shown = [
            WeightedSegment(segment, 1, spans)
            for segment, spans in zip(self.segments, hidden, strict=True)
            if segment.num_positions
        ]
        gone = [
            tokens
            for segment, spans in zip(self.segments, hidden, strict=True)
            for span in spans
            for tokens in segment.sequences_in(span)
        ]
        if gone:
            shown.append(WeightedSegment(Segment.build(gone, vocab_size)[0], -1))
        return shown


def updated(
    index: ProjectIndex,
    root: Path,
    tokenizer: TextTokenizer,
    on_progress: OnProgress | None = None,
) -> ProjectIndex:
    """The index of the project's files as they are now; `index` itself if nothing has changed.

    Raises:
        IncoderError: the project cannot be listed.
    """
    present, num_left_out = _within_budget(list_source_files(root))
    files = dict[str, IndexedFile]()
    to_read = []
    for file in present:
        old = index.files.get(file.path)
        if old is not None and old.signature == file.signature:
            files[file.path] = old
        else:
            to_read.append(file)
    if not to_read and len(files) == len(index.files) and num_left_out == index.num_left_out:
        return index
    fresh = dict[str, TokenIds]()
    for path, entry, tokens in _read(to_read, root, tokenizer, index.files, on_progress):
        files[path] = entry
        if tokens is not None:
            fresh[path] = tokens
    return _arranged(ProjectIndex(files, index.segments, num_left_out), fresh, tokenizer.vocab_size)


def _within_budget(files: Sequence[SourceFile]) -> tuple[list[SourceFile], int]:
    total, kept = 0, []
    for file in files:
        total += file.size
        if total > MAX_PROJECT_BYTES:
            break
        kept.append(file)
    return kept, len(files) - len(kept)


def _read(
    files: Sequence[SourceFile],
    root: Path,
    tokenizer: TextTokenizer,
    known: Mapping[str, IndexedFile],
    on_progress: OnProgress | None,
) -> Iterable[tuple[str, IndexedFile, TokenIds | None]]:
    """Each file's entry, and its tokens if its content is new."""
    total, num_done = sum(file.size for file in files), 0
    for batch in _batches(files):
        waiting = list[tuple[SourceFile, str, str]]()
        for file in batch:
            signature, text = _stable_signature(file), None
            try:
                text = read_text(root / file.path)
            except OSError:
                signature = (0, 0, 0)  # to be tried again
            digest = _digest(text)
            old = known.get(file.path)
            if text is None:
                yield file.path, IndexedFile(signature, digest, None, Span(0, 0)), None
            elif old is not None and old.digest == digest:
                yield file.path, replace(old, signature=signature), None
            else:
                waiting.append((replace(file, modified_ns=signature[1]), digest, as_model_sees([text])[0]))
        encoded = encode_texts(tokenizer, [text for _, _, text in waiting])
        for (file, digest, _), token_ids in zip(waiting, encoded, strict=True):
            tokens = np.array(token_ids, dtype=np.uint32)
            yield file.path, IndexedFile(file.signature, digest, None, Span(0, 0)), tokens
        num_done += sum(file.size for file in batch)
        if on_progress is not None:
            on_progress(num_done, total)


def _arranged(index: ProjectIndex, fresh: Mapping[str, TokenIds], vocab_size: int) -> ProjectIndex:
    """The same files, with the fresh tokens in a segment, and all in one segment if too much has changed."""
    num_places = [segment.num_places for segment in index.segments]
    num_shown = [0] * len(num_places)
    for file in index.files.values():
        if file.segment is not None:
            num_shown[file.segment] += file.span.length + 1
    num_moved = sum(num_shown[1:]) + sum(len(tokens) for tokens in fresh.values())
    is_merged = not num_places or _MERGE_SHARE * (num_moved + num_places[0] - num_shown[0]) > num_places[0]
    moved = {
        path: index.segments[file.segment].tokens_of(file.span)
        for path, file in index.files.items()
        if file.segment is not None and (is_merged or (fresh and file.segment > 0))
    }
    moved.update(fresh)
    if not moved:
        used = {file.segment for file in index.files.values()}
        kept = tuple(one for number, one in enumerate(index.segments) if number in used or number == 0)
        return replace(index, segments=kept if index.num_files else ())
    order = sorted(moved)
    segment, spans = Segment.build((moved[path] for path in order), vocab_size)
    segments = (segment,) if is_merged else (index.segments[0], segment)
    files = dict(index.files)
    for path, span in zip(order, spans, strict=True):
        files[path] = replace(files[path], segment=len(segments) - 1, span=span)
    return replace(index, files=files, segments=segments)


def _batches(files: Sequence[SourceFile]) -> Iterable[list[SourceFile]]:
    batch, size = list[SourceFile](), 0
    for file in files:
        batch.append(file)
        size += file.size
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _stable_signature(file: SourceFile) -> tuple[int, int, int]:
    """The signature, or if the file was changed too recently to notice another change, one of no file."""
    is_recent = time.time_ns() - file.modified_ns < _MIN_AGE_NS
    return (file.size, 0, file.inode) if is_recent else file.signature


def _digest(text: str | None) -> str:
    if text is None:
        return ""
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _gaps(spans: Sequence[Span], num_places: int) -> tuple[Span, ...]:
    """The places between the spans."""
    found, place = list[Span](), 0
    for span in (*spans, Span(num_places, 0)):
        if span.start - place > 1:  # one place is only a separator
            found.append(Span(place, span.start - place))
        place = span.start + span.length
    return tuple(found)
