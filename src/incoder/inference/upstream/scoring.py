"""Log-probabilities of given tokens by other servers: each row of tokens is one request that echoes it.

Imports no torch.
"""

import asyncio
from collections.abc import Generator, Sequence
from typing import TypeVar

from incoder.inference.scored_rows import Logprobs, Rows, overlapping
from incoder.inference.text_vocabulary import TextVocabulary
from incoder.inference.upstream.completions import Piece
from incoder.inference.upstream.servers import UpstreamServers

T = TypeVar("T")

_MAX_AT_ONCE = 16  # rows; more would only wait there


class Scorer:
    """Scores rows of at most `max_positions` tokens."""

    def __init__(self, servers: UpstreamServers, vocabulary: TextVocabulary, max_positions: int) -> None:
        self._servers = servers
        self._vocabulary = vocabulary
        self._max_positions = max_positions
        self._turn = asyncio.Semaphore(_MAX_AT_ONCE)

    async def echo(self, token_ids: Sequence[int], num_alternatives: int = 0) -> Piece:
        """Return the tokens with their log-probabilities."""
        async with self._turn:
            return await self._servers.ask(
                token_ids, lambda server: server.echo(token_ids, self._vocabulary, num_alternatives)
            )

    async def answer(self, rows: Generator[Rows, Logprobs, T]) -> T:
        """Answer the generator's rows with their log-probabilities; return what it returns."""
        try:
            asked = next(rows)
            while True:
                asked = rows.send(await self._score_rows(asked))
        except StopIteration as end:
            result: T = end.value
            return result

    async def score_long_text(self, token_ids: Sequence[int]) -> list[float]:
        """Return the log-probability of every token but the first; a long text is read in windows."""
        logprobs: list[float] = []
        for start, end in overlapping(len(token_ids), self._max_positions - 1):  # it writes one token, too
            window = await self._score(token_ids[start:end])
            logprobs += window[len(logprobs) - start :]
        return logprobs

    async def _score_rows(self, rows: Rows) -> Logprobs:
        # The first row alone: then the server's prefix cache has the beginning that all share.
        first, *others = rows.token_ids
        found = [await self._score(first)]
        found += await asyncio.gather(*map(self._score, others))
        return [one[rows.num_given - 1 :] for one in found]

    async def _score(self, token_ids: Sequence[int]) -> list[float]:
        piece = await self.echo(token_ids)
        return [one.logprob or 0.0 for one in piece.tokens[1 : len(token_ids)]]
