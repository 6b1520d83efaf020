"""Chunks of an epoch: some of a shard's documents, masked and packed into shuffled rows.

A chunk follows from the seed and its place alone. So another process can make the next one while a GPU trains
on this one, and the rows are the same as without it.
"""

import contextlib
import signal
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import NamedTuple, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from incoder.corpus.storage.token_shards import TokenShard
from incoder.errors import IncoderError
from incoder.objective.masking import MaskingConfig
from incoder.objective.packing import PackedRows
from incoder.objective.rows import fill_in_the_middle_rows, training_rows
from incoder.objective.targets import with_infills_alone
from incoder.tokenizer.family_tokenizer import FamilyTokenizer
from incoder.tokenizer.fill_in_the_middle import FillInTheMiddleFormat
from incoder.tokenizer.formats import training_formats
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer


class Chunk(NamedTuple):
    """A chunk's place, and the window that its documents are packed into."""

    epoch: int
    number: int
    window: int


class Chunks(Protocol):
    """All chunks of a run, epoch after epoch."""

    def rows(self, chunk: Chunk, /) -> PackedRows: ...

    def after(self, chunk: Chunk, /) -> Chunk: ...

    def __len__(self) -> int:
        """The number of chunks in each epoch."""


class _Place(TypedDict):
    epoch: int
    seed: int
    window: int


class DocumentChunks:
    """The chunks of a shard. Each epoch permutes all documents and masks them anew.

    With `weights`, an epoch has each document as often as its kind weighs; a fraction is the chance of one
    more.
    """

    def __init__(
        self,
        shard: TokenShard,
        tokenizer: Tokenizer | FamilyTokenizer,
        masking: MaskingConfig,
        *,
        seed: int,
        documents_per_chunk: int,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self._shard = shard
        self._tokenizer = tokenizer
        self._formats = training_formats(tokenizer)
        if masking.infills_alone and not isinstance(tokenizer, Tokenizer):
            raise IncoderError("masking.infills_alone is for causal masking; leave it out")
        self._masking = masking
        self._seed = seed
        self._weights = shard.weights(weights) if weights else None
        num_documents = len(shard) if self._weights is None else int(self._weights.sum())
        self._num_chunks = max(1, num_documents // documents_per_chunk)
        self._order: tuple[int, NDArray[np.integer]] | None = None  # an epoch, and its documents in order

    def __len__(self) -> int:
        return self._num_chunks

    def after(self, chunk: Chunk) -> Chunk:
        """The next chunk, in this epoch or the one that follows."""
        if chunk.number + 1 < self._num_chunks:
            return chunk._replace(number=chunk.number + 1)
        return chunk._replace(epoch=chunk.epoch + 1, number=0)

    def rows(self, chunk: Chunk) -> PackedRows:
        """All rows of one chunk."""
        rows = self._rows(chunk)
        rng = np.random.default_rng((self._seed, chunk.epoch, chunk.number))
        return rows[rng.permutation(len(rows))]

    def _rows(self, chunk: Chunk) -> PackedRows:
        place: _Place = {"epoch": chunk.epoch, "seed": self._seed, "window": chunk.window}
        documents = self._documents(chunk)
        if isinstance(self._tokenizer, Tokenizer):
            rows = training_rows(
                self._shard,
                documents,
                masking=self._masking,
                infilling_format=CausalMaskingFormat(self._tokenizer),
                tokenizer=self._tokenizer,
                **place,
            )
            return with_infills_alone(rows, self._tokenizer) if self._masking.infills_alone else rows
        return fill_in_the_middle_rows(
            self._shard,
            documents,
            masking=self._masking,
            formats=[one for one in self._formats if isinstance(one, FillInTheMiddleFormat)],
            tokenizer=self._tokenizer,
            **place,
        )

    def _documents(self, chunk: Chunk) -> list[int]:
        """The numbers of a chunk's documents; an epoch is permuted once, not for each of its chunks."""
        if self._order is None or self._order[0] != chunk.epoch:
            self._order = None  # frees the epoch before; a hundred million documents take 0.4 GB
            self._order = chunk.epoch, self.order(chunk.epoch).astype(np.uint32)
        order = self._order[1]
        size, num_longer = divmod(len(order), self._num_chunks)  # the first chunks have one more
        start = chunk.number * size + min(chunk.number, num_longer)
        documents: list[int] = order[start : start + size + (chunk.number < num_longer)].tolist()
        return documents

    def order(self, epoch: int) -> NDArray[np.integer]:
        """The numbers of an epoch's documents, in the order in which they are trained on."""
        rng = np.random.default_rng((self._seed, epoch))
        if self._weights is None:
            return rng.permutation(len(self._shard))
        whole = np.floor(self._weights)
        times = whole + (rng.random(len(whole)) < self._weights - whole)
        return rng.permutation(np.repeat(np.arange(len(whole)), times.astype(np.int64)))


class PrefetchingLoader:
    """The same chunks, each made in another process while the one before it is in use.

    If that process cannot start, or dies, chunks are made here: that costs time and changes nothing else.
    """

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._connection: Connection | None = None
        self._next: Chunk | None = None  # the chunk that the other process is making
        context = get_context("spawn")  # a forked process could not use CUDA
        # Only the other process holds the other end of this pipe, so reading fails if that process dies in
        # the middle of a message. The queue of an executor would wait for the rest of it for ever.
        own, other = context.Pipe()
        try:
            context.Process(target=_make_rows, args=(other, chunks), daemon=True).start()
            self._connection = own
        except OSError:
            own.close()
        finally:
            other.close()

    def __len__(self) -> int:
        return len(self._chunks)

    def after(self, chunk: Chunk) -> Chunk:
        """The next chunk, in this epoch or the one that follows."""
        return self._chunks.after(chunk)

    @property
    def is_ahead(self) -> bool:
        """Whether the other process is still running."""
        return self._connection is not None

    def rows(self, chunk: Chunk) -> PackedRows:
        """All rows of one chunk; the other process starts on the next."""
        rows = self._received() if self._next is not None else None
        if rows is None or self._next != chunk:
            rows = self._chunks.rows(chunk)
        self._ask_for(self.after(chunk))
        return rows

    def _received(self) -> PackedRows | None:
        """The rows that the other process made; None if it has died."""
        assert self._connection is not None
        try:
            rows: PackedRows = self._connection.recv()
        except (EOFError, OSError):
            self._connection = self._next = None
            return None
        return rows

    def _ask_for(self, chunk: Chunk) -> None:
        if self._connection is None:
            return
        try:
            self._connection.send(chunk)
            self._next = chunk
        except OSError:
            self._connection = self._next = None


def _make_rows(connection: Connection, chunks: Chunks) -> None:
    """Make the chunks that the connection asks for until it closes; runs in the other process.

    An error ends this process. The process that asked then makes the chunk itself, and meets the same error.
    """
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches both processes; this one ends with the other
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(chunks.rows(connection.recv()))
