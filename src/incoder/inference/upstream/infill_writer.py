"""One infill of one candidate: a server generates it, and InCoder ends it.

First the required prefix (token healing), token by token, then the rest as a stream that is closed where a
rule ends the infill. Imports no torch.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from incoder.errors import IncoderError
from incoder.inference.decoding.infill_text import InfillText
from incoder.inference.decoding.sequence_state import Decoded
from incoder.inference.text_vocabulary import TextVocabulary
from incoder.inference.upstream.capabilities import Capabilities
from incoder.inference.upstream.client import UpstreamError
from incoder.inference.upstream.completions import sampling_fields, unsupported
from incoder.inference.upstream.server import UpstreamServer
from incoder.inference.upstream.servers import UpstreamServers
from incoder.inference.upstream.written_tokens import WrittenTokens
from incoder.request import InfillRequest
from incoder.results import FinishReason

_MAX_BIASES = 1024  # of one request; a required prefix with more continuations is given to the model
_REFUSALS = (400, 413, 422)  # of a body that the server does not take


@dataclass(slots=True, kw_only=True)
class InfillWriter:
    """Writes the infill after the tokens `context` into `text`.

    `num_free` tokens of the server's context are left, None if that is not known. If `is_ranked`, a stream is
    read to its end for its log-probabilities even if the infill ends before. `on_bytes` gets the bytes that
    can no longer be retracted. `on_first_token` is called once a server has begun to answer.
    """

    servers: UpstreamServers
    vocabulary: TextVocabulary
    request: InfillRequest
    context: Sequence[int]
    text: InfillText
    seed: int
    num_free: int | None
    deadline: float = math.inf
    is_ranked: bool = False
    on_bytes: Callable[[bytes], None] = lambda _: None
    on_first_token: Callable[[], None] = lambda: None
    _ids: list[int] = field(init=False)
    _tokens: WrittenTokens = field(init=False)
    num_cached: int = 0  # tokens of the prompt in the server's prefix cache, as far as it says
    _num_new: int = 0
    _has_text: bool = False

    def __post_init__(self) -> None:
        self._ids = list(self.context)
        self._tokens = WrittenTokens(self.vocabulary, self.request.num_alternatives)

    async def write(self) -> Decoded:
        """Write the infill until it ends, or until the deadline.

        Raises:
            IncoderError: no server can write it, or the one that began fails.
        """
        seconds = None if self.deadline == math.inf else max(0.0, self.deadline - time.monotonic())
        reason: FinishReason
        try:
            async with asyncio.timeout(seconds):
                reason = await self.servers.ask(self.context, self._write_on, lambda: not self._has_text)
        except TimeoutError:
            reason = "time"
            self.text.finish()
        self.on_bytes(self.text.newly_committed(is_finished=True))
        return self._tokens.decoded(self.text, reason)

    async def _write_on(self, server: UpstreamServer) -> FinishReason:
        can = await server.capabilities()
        fields = self._fields(server, can)
        await self._spell_required(server, can, fields)
        if self.text.cut is not None:
            return "stop"
        num_left = self.request.sampling.max_new_tokens - self._num_new
        if self.num_free is not None:
            num_left = min(num_left, self.num_free - (len(self._ids) - len(self.context)))
        if num_left <= 0:
            self.text.finish()
            return "length"
        if can.extensions:
            fields["stream_options"] = {"include_usage": True}
        return await self._read(server, fields | {"max_tokens": num_left})

    def _fields(self, server: UpstreamServer, can: Capabilities) -> dict[str, Any]:
        sampling, layout = self.request.sampling, self.vocabulary.layout
        unknown = [] if can.extensions else unsupported(sampling)
        if unknown:
            raise IncoderError(f"{server.url} knows no {unknown[0]}; leave it out, or use vLLM")
        fields = sampling_fields(sampling, self.seed, extended=can.extensions)
        if can.logprobs:
            fields["logprobs"] = max(1, self.request.num_alternatives)
        if can.extensions and can.token_ids:
            fields["stop_token_ids"] = sorted(layout.end_of_infill_ids)
            fields |= {"return_tokens_as_token_ids": True} if can.logprobs else {}
        if can.extensions and self.request.cache_salt:
            fields["cache_salt"] = self.request.cache_salt
        return fields

    async def _spell_required(
        self, server: UpstreamServer, can: Capabilities, fields: dict[str, Any]
    ) -> None:
        """Let the model spell the bytes that the infill must begin with.

        If its next token cannot be restricted, it is given these bytes as the beginning of the infill.
        """
        first_ids = self.request.sampling.allowed_first_ids if not self._tokens else None
        while self.text.cut is None and (self.text.required_left or first_ids is not None):
            token_id = await self._next_of(server, can, fields, self._allowed(first_ids))
            if token_id is None:
                if first_ids is not None:
                    raise IncoderError(f"{server.url} cannot restrict the first token (allowed_first_ids)")
                data = self.text.required_left
                self._ids += self.vocabulary.tokenizer.encode_bytes(data)
            else:
                data = self.vocabulary.tokenizer.token_bytes(token_id)
                self._ids.append(token_id)
            self.text.append(data)
            self._num_new += len(self.text.spelling) > len(self.text.required)
            first_ids = None

    async def _next_of(
        self, server: UpstreamServer, can: Capabilities, fields: dict[str, Any], allowed: Sequence[int]
    ) -> int | None:
        """Return the model's next token among the allowed ones; None if the server cannot restrict it."""
        is_few = can.constraint == "allowed_token_ids" or len(allowed) <= _MAX_BIASES
        if can.constraint is None or not allowed or not is_few:
            return None
        try:
            piece = await server.next_token(self._ids, self.vocabulary, fields, can.constraint, allowed)
        except UpstreamError as error:
            if error.status not in _REFUSALS:
                raise
            return None
        self.on_first_token()
        token_id = self._tokens.written_id(piece)
        if token_id not in allowed:
            return None
        self._tokens.add(piece.tokens)
        return token_id

    def _allowed(self, first_ids: Sequence[int] | None) -> list[int]:
        if not self.text.required_left:
            return list(first_ids or ())
        allowed: list[int] = self.vocabulary.table.allowed_after(self.text.required_left).tolist()
        return allowed if first_ids is None else sorted({*first_ids} & {*allowed})

    async def _read(self, server: UpstreamServer, fields: dict[str, Any]) -> FinishReason:
        """Read the stream up to the end of the infill."""
        needs_logprobs, num_before = self.is_ranked and "logprobs" in fields, len(self._tokens)
        reason = "stop"
        async with aclosing(server.stream(self._ids, self.vocabulary, fields)) as pieces:
            async for piece in pieces:
                self.on_first_token()
                self._tokens.add(piece.tokens)
                reason = piece.finish_reason or reason
                self.num_cached = max(self.num_cached, piece.num_cached)
                if piece.text and self.text.cut is None:
                    self._has_text = True
                    self.text.append(piece.text.encode("utf-8", "replace"))
                    self.on_bytes(self.text.newly_committed(is_finished=False))
                if self.text.cut is not None and not (needs_logprobs and len(self._tokens) == num_before):
                    return "stop"
        if self.text.cut is not None:
            return "stop"
        if reason == "length":
            self.text.finish()
            return "length"
        return "end" if self.text.finish() is None else "stop"
