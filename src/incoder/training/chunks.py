"""A shard's documents in groups, each masked and packed into shuffled rows.

What a group holds follows from the seed and its place alone, so the next one can be made in another process
while a GPU trains on this one, and nothing depends on whether it was.
"""

import contextlib
import signal
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from incoder.corpus.shards import TokenShard
from incoder.objective.masking import MaskingConfig
from incoder.objective.packing import PackedRows
from incoder.objective.rows import training_rows
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.tokenizer import Tokenizer


class Group(NamedTuple):
    """A group's place, and the width of the rows it is packed into."""

    epoch: int
    number: int
    window: int


class Groups(Protocol):
    """All groups of a run, epoch after epoch."""

    def rows(self, group: Group, /) -> PackedRows: ...

    def after(self, group: Group, /) -> Group: ...

    def __len__(self) -> int:
        """How many there are in each epoch."""


class DocumentGroups:
    """Each epoch permutes all documents, some of them more than once or not at all where kinds have weights,
    and masks each anew, from (seed, epoch, document) alone."""

    def __init__(
        self,
        shard: TokenShard,
        tokenizer: Tokenizer,
        masking: MaskingConfig,
        *,
        seed: int,
        documents_per_group: int,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self._shard = shard
        self._tokenizer = tokenizer
        self._format = CausalMaskingFormat(tokenizer)
        self._masking = masking
        self._seed = seed
        self._weights = shard.weights(weights) if weights else None
        num_documents = len(shard) if self._weights is None else int(self._weights.sum())
        self._num_groups = max(1, num_documents // documents_per_group)

    def __len__(self) -> int:
        return self._num_groups

    def after(self, group: Group) -> Group:
        """The next one, in this epoch or the one that follows."""
        if group.number + 1 < self._num_groups:
            return group._replace(number=group.number + 1)
        return group._replace(epoch=group.epoch + 1, number=0)

    def rows(self, group: Group) -> PackedRows:
        """All rows of one group."""
        indices = np.array_split(self.order(group.epoch), self._num_groups)[group.number]
        rows = training_rows(
            self._shard,
            [int(index) for index in indices],
            epoch=group.epoch,
            seed=self._seed,
            window=group.window,
            masking=self._masking,
            infilling_format=self._format,
            tokenizer=self._tokenizer,
        )
        rng = np.random.default_rng((self._seed, group.epoch, group.number))
        return rows[rng.permutation(len(rows))]

    def order(self, epoch: int) -> NDArray[np.integer]:
        """The documents of an epoch by number, one behind the other."""
        rng = np.random.default_rng((self._seed, epoch))
        if self._weights is None:
            return rng.permutation(len(self._shard))
        whole = np.floor(self._weights)
        times = whole + (rng.random(len(whole)) < self._weights - whole)
        return rng.permutation(np.repeat(np.arange(len(whole)), times.astype(np.int64)))


class GroupsAhead:
    """The same groups, each made in another process while the one before it is in use.

    A process that cannot start, or dies, costs the time that it would have saved and nothing else.
    """

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._connection: Connection | None = None
        self._next: Group | None = None  # the group that the other process makes now
        context = get_context("spawn")  # not forked: a GPU in use does not survive that
        # With a pipe whose other end only the other process holds, reading ends with an error if that process
        # dies in the middle of a message. The queue of an executor would wait for the rest for ever.
        own, other = context.Pipe()
        try:
            context.Process(target=_make_rows, args=(other, groups), daemon=True).start()
            self._connection = own
        except OSError:
            own.close()
        finally:
            other.close()

    def __len__(self) -> int:
        return len(self._groups)

    def after(self, group: Group) -> Group:
        """As the groups themselves say."""
        return self._groups.after(group)

    @property
    def is_ahead(self) -> bool:
        """Whether the other process is still running."""
        return self._connection is not None

    def rows(self, group: Group) -> PackedRows:
        """All rows of one group; the other process starts on the next."""
        rows = self._received() if self._next is not None else None
        if rows is None or self._next != group:
            rows = self._groups.rows(group)
        self._ask_for(self.after(group))
        return rows

    def _received(self) -> PackedRows | None:
        """The rows that the other process has made; None if it has died."""
        assert self._connection is not None
        try:
            rows: PackedRows = self._connection.recv()
        except (EOFError, OSError):
            self._connection = self._next = None
            return None
        return rows

    def _ask_for(self, group: Group) -> None:
        if self._connection is None:
            return
        try:
            self._connection.send(group)
            self._next = group
        except OSError:
            self._connection = self._next = None


def _make_rows(connection: Connection, groups: Groups) -> None:
    """Make the groups that the connection asks for until it closes; runs in the other process.

    An error in making them ends this process; the one that asked then makes the group and gets the same
    error.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to both; this one ends with the other
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(groups.rows(connection.recv()))
