"""One infill of one candidate: a server generates it, and InCoder ends it.

First the required prefix (token healing), token by token, then the rest as a stream. The stream is closed
where a rule ends the infill, and where a rule refuses the next token or requires one. That token is asked for
by itself, and the rest by another stream. Imports no torch.
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
from incoder.inference.upstream.capabilities import BIAS, Capabilities, constrained
from incoder.inference.upstream.client import UpstreamError
from incoder.inference.upstream.completions import Piece, sampling_fields, unsupported
from incoder.inference.upstream.server import UpstreamServer
from incoder.inference.upstream.servers import UpstreamServers
from incoder.inference.upstream.written_tokens import WrittenTokens
from incoder.request import InfillRequest
from incoder.results import FinishReason

_MAX_BIASES = 1024  # of one request; a required prefix with more continuations is given to the model
_REFUSALS = (400, 413, 422)  # of a body that the server does not take
_MAX_CHOICES = 12  # of one token; after that many, it is taken even if a rule refuses it
_NUM_SEEN = 5  # the most probable tokens that a choice also shows: OpenAI's limit


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
    num_cached: int = 0  # tokens of the prompt in the server's prefix cache, as far as it says
    _ids: list[int] = field(init=False)  # the context and the infill so far
    _tokens: WrittenTokens = field(init=False)
    _num_new: int = field(init=False)
    _has_text: bool = False

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._ids = list(self.context)
        self._tokens = WrittenTokens(self.vocabulary, self.request.num_alternatives)
        self._num_new = 0

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
        while True:
            reason = await self._write_more(server, can, fields)
            if reason is None:
                continue
            if can.constraint is None or not self.text.asks_for_another(is_whole=reason != "length"):
                return reason
            self.text = self.text.stricter()
            self._begin()

    async def _write_more(
        self, server: UpstreamServer, can: Capabilities, fields: dict[str, Any]
    ) -> FinishReason | None:
        """Write up to the end of the infill, or to a token that a rule has chosen; then return None."""
        await self._spell_required(server, can, fields)
        if self.text.cut is not None:
            return "stop"
        num_left = self.request.sampling.max_new_tokens - self._num_new
        if self.num_free is not None:
            num_left = min(num_left, self.num_free - (len(self._ids) - len(self.context)))
        if num_left <= 0:
            self.text.finish()
            return "length"
        return await self._read(server, can, fields, num_left)

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
        while self.text.cut is None and (self.text.required_next or first_ids is not None):
            token_id = await self._next_of(server, can, fields, self._allowed(first_ids))
            if token_id is None:
                if first_ids is not None:
                    raise IncoderError(f"{server.url} cannot restrict the first token (allowed_first_ids)")
                data = self.text.required_next
                self._ids += self.vocabulary.tokenizer.encode_bytes(data)
                self.text.append(data)
            else:
                self._append(token_id)
            first_ids = None

    def _append(self, token_id: int) -> None:
        data = self.vocabulary.tokenizer.token_bytes(token_id)
        self._ids.append(token_id)
        self.text.append(data)
        self._num_new += len(self.text.spelling) > len(self.text.required)

    async def _next_of(
        self, server: UpstreamServer, can: Capabilities, fields: dict[str, Any], allowed: Sequence[int]
    ) -> int | None:
        """Return the model's next token among the allowed ones; None if the server cannot restrict it."""
        is_few = can.constraint == "allowed_token_ids" or len(allowed) <= _MAX_BIASES
        if can.constraint is None or not allowed or not is_few:
            return None
        try:
            only = constrained(can.constraint, allowed)
            piece = await server.next_token(self._ids, self.vocabulary, fields, only)
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
        required = self.text.required_next
        if not required:
            return list(first_ids or ())
        spelling: list[int] = self.vocabulary.table.allowed_after(required).tolist()
        token_bytes = self.vocabulary.tokenizer.token_bytes
        allowed = [one for one in spelling if not self.text.refuses(token_bytes(one))] or spelling
        return allowed if first_ids is None else sorted({*first_ids} & {*allowed})

    async def _read(
        self, server: UpstreamServer, can: Capabilities, fields: dict[str, Any], num_left: int
    ) -> FinishReason | None:
        """Read a stream up to the end of the infill, or to a token that a rule refuses or requires."""
        needs_logprobs, num_before = self.is_ranked and "logprobs" in fields, len(self._tokens)
        body = fields | {"max_tokens": num_left}
        if can.extensions:
            body["stream_options"] = {"include_usage": True}
        reason, refused = "stop", None
        async with aclosing(server.stream(self._ids, self.vocabulary, body)) as pieces:
            async for piece in pieces:
                self.on_first_token()
                reason = piece.finish_reason or reason
                self.num_cached = max(self.num_cached, piece.num_cached)
                if can.constraint is not None and self._is_refused(piece):
                    refused = piece
                    break
                self._take(piece)
                if self.text.cut is not None and not (needs_logprobs and len(self._tokens) == num_before):
                    return "stop"
                if self.text.cut is None and self.text.required_next and can.constraint is not None:
                    return None
        if refused is not None:
            return await self._choose(server, can, fields, refused)
        if self.text.cut is not None:
            return "stop"
        if reason == "length":
            self.text.finish()
            return "length"
        if can.constraint is not None and self.text.refuses(None):
            return await self._choose(server, can, fields, Piece(finish_reason="stop"))
        return "end" if self.text.finish() is None else "stop"

    def _is_refused(self, piece: Piece) -> bool:
        return self.text.cut is None and bool(piece.text) and self.text.refuses(_bytes(piece))

    async def _choose(
        self, server: UpstreamServer, can: Capabilities, fields: dict[str, Any], piece: Piece
    ) -> FinishReason | None:
        """Take another token in place of a piece that the rules refuse; the piece itself if there is none.

        Returns the reason if the infill ends with it.
        """
        allowed = self.vocabulary.table.permitted(
            self.text.may_begin_with, lambda data: not self.text.refuses(data), _MAX_BIASES
        )
        token_id = await self._next_of(server, can, fields, allowed or ())
        if token_id is not None:
            self._append(token_id)
            return None if self.text.cut is None else "stop"
        refused_ids = self._refused_ids(piece)
        asked = fields | ({"logprobs": _NUM_SEEN} if "logprobs" in fields else {})
        for _ in range(_MAX_CHOICES):
            only = {"logit_bias": {str(token_id): -BIAS for token_id in refused_ids}}
            try:
                piece = await server.next_token(self._ids, self.vocabulary, asked, only)
            except UpstreamError as error:
                if error.status not in _REFUSALS:
                    raise
                break
            again = self._refused_ids(piece) - refused_ids
            if not again:
                break
            refused_ids |= again
        self._take(piece)
        if self.text.cut is None and piece.finish_reason == "stop":
            return "end" if self.text.finish() is None else "stop"
        return None if self.text.cut is None else "stop"

    def _refused_ids(self, piece: Piece) -> set[int]:
        """Return the ids of what a piece writes, if that is refused, and of what it shows besides."""
        tokenizer = self.vocabulary.tokenizer
        ends = self.vocabulary.layout.end_of_infill_ids
        others = self._tokens.probable_ids(piece) - ends
        refused = {one for one in others if self.text.refuses(tokenizer.token_bytes(one))}
        return refused | (ends if self.text.refuses(None) else set())

    def _take(self, piece: Piece) -> None:
        """Append what a server has written."""
        if self.text.cut is None:
            ids = self._tokens.ids_of(piece)
            self._ids += self.vocabulary.tokenizer.encode_bytes(_bytes(piece)) if ids is None else ids
            self._num_new += len(piece.tokens) or bool(piece.text)
        self._tokens.add(piece.tokens)
        if piece.text and self.text.cut is None:
            self._has_text = True
            self.text.append(_bytes(piece))
            self.on_bytes(self.text.newly_committed(is_finished=False))


def _bytes(piece: Piece) -> bytes:
    return piece.text.encode("utf-8", "replace")
