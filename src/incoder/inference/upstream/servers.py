"""The servers of one model together: a call goes to the pool's choice, and to the next one if that fails.

Imports no torch.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from incoder.inference.upstream.capabilities import Capabilities
from incoder.inference.upstream.client import UpstreamError
from incoder.inference.upstream.pool import Pool
from incoder.inference.upstream.server import UpstreamServer

T = TypeVar("T")


class UpstreamServers:
    """At least one server; all serve the same model."""

    def __init__(self, servers: Sequence[UpstreamServer]) -> None:
        self.pool = Pool(servers)

    async def start(self) -> tuple[Capabilities, list[str]]:
        """Ask every server what it can do. Return the first one's answer, and the errors of others.

        Raises:
            IncoderError: no server answers, or one refuses for a reason that does not pass by itself.
        """
        servers = self.pool.servers
        found = await asyncio.gather(*(one.capabilities() for one in servers), return_exceptions=True)
        problems = []
        for server, one in zip(servers, found, strict=True):
            if isinstance(one, UpstreamError) and one.is_temporary:
                self.pool.failed(server)
                problems.append(str(one))
            elif isinstance(one, BaseException):
                raise one
        answers = [one for one in found if isinstance(one, Capabilities)]
        if not answers:
            raise UpstreamError("; ".join(problems), is_temporary=True)
        return answers[0], problems

    async def ask(
        self,
        token_ids: Sequence[int],
        call: Callable[[UpstreamServer], Awaitable[T]],
        may_retry: Callable[[], bool] = lambda: True,
    ) -> T:
        """Return what the call returns for the server of this prompt, or for the next one if that fails.

        After a failure, `may_retry` says whether the call may be made again.

        Raises:
            IncoderError: a server refuses the call, or all servers fail.
        """
        problems = []
        for server in self.pool.order(token_ids):
            try:
                with self.pool.use(server):
                    answer = await call(server)
            except UpstreamError as error:
                if not error.is_temporary:
                    raise
                self.pool.failed(server)
                server.reset()
                problems.append(str(error))
                if not may_retry():
                    break
            else:
                self.pool.answered(server)
                return answer
        raise UpstreamError("; ".join(dict.fromkeys(problems)), is_temporary=True)

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(server.close() for server in self.pool.servers))
