"""Several servers of one model: which one gets a request, and which come last because they failed.

Prompts that begin alike go to the same server, whose prefix cache then has their beginning (rendezvous
hashing: a server that joins or leaves moves only its own share). A server with more than its share of the
requests in progress is tried after the others. Knows no HTTP. Imports no torch.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

_BLOCK = 16  # tokens; a prompt's first whole blocks decide, so that typing at its end does not
_NUM_BLOCKS = 4
_MAX_LOAD = 1.25  # times the mean number of requests in progress
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # seconds after a failure, doubled with each more


class Server(Protocol):
    """A member of a pool."""

    @property
    def url(self) -> str:
        """The name by which it is hashed."""


S = TypeVar("S", bound=Server)


@dataclass(slots=True)
class _State:
    """The requests in progress on one server, and its failures since it last answered."""

    num_active: int = 0
    num_failures: int = 0
    retry_at: float = 0.0


class Pool(Generic[S]):
    """The servers of one model, at least one. Used in one event loop.

    >>> from types import SimpleNamespace
    >>> pool = Pool([SimpleNamespace(url=url) for url in ("http://a/v1", "http://b/v1")])
    >>> prompt = list(range(64))
    >>> pool.order(prompt) == pool.order([*prompt, 64, 65])
    True
    """

    def __init__(self, servers: Sequence[S], clock: Callable[[], float] = time.monotonic) -> None:
        assert servers
        self.servers = list(servers)
        self._states = {server.url: _State() for server in servers}
        self._clock = clock

    def order(self, token_ids: Sequence[int]) -> list[S]:
        """Return all servers in the order in which to try them with this prompt.

        Servers that failed come last, the one whose pause ends first before the others.
        """
        now = self._clock()
        up = [one for one in self.servers if self._states[one.url].retry_at <= now]
        paused = sorted(
            (one for one in self.servers if one not in up), key=lambda one: self._states[one.url].retry_at
        )
        start = _first_blocks(token_ids)
        up.sort(key=lambda one: _weight(one.url, start), reverse=True)
        num_active = sum(self._states[one.url].num_active for one in up)
        most = math.ceil(_MAX_LOAD * (num_active + 1) / max(1, len(up)))
        up.sort(key=lambda one: self._states[one.url].num_active >= most)  # stable: the hash decides the rest
        return up + paused

    @contextmanager
    def use(self, server: S) -> Iterator[None]:
        """Count a request as in progress on this server."""
        state = self._states[server.url]
        state.num_active += 1
        try:
            yield
        finally:
            state.num_active -= 1

    def answered(self, server: S) -> None:
        """Count the server's failures from 0 again."""
        state = self._states[server.url]
        state.num_failures, state.retry_at = 0, 0.0

    def failed(self, server: S) -> None:
        """Put the server last for a while, longer after each failure in a row."""
        state = self._states[server.url]
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(state.num_failures, 16))
        state.num_failures, state.retry_at = state.num_failures + 1, self._clock() + pause

    def is_up(self, server: S) -> bool:
        """Whether the server is not put last now."""
        return self._states[server.url].retry_at <= self._clock()


def _first_blocks(token_ids: Sequence[int]) -> bytes:
    num_blocks = min(_NUM_BLOCKS, len(token_ids) // _BLOCK)
    return b",".join(b"%d" % token_id for token_id in token_ids[: num_blocks * _BLOCK])


def _weight(url: str, start: bytes) -> bytes:
    return hashlib.blake2b(start, key=hashlib.blake2b(url.encode()).digest()).digest()
