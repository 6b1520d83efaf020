"""One server of a model: its client, and its capabilities once they are known. Imports no torch."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from incoder.inference.text_vocabulary import TextVocabulary
from incoder.inference.upstream.capabilities import (
    COMPLETIONS,
    Capabilities,
    find_capabilities,
)
from incoder.inference.upstream.client import UpstreamClient, UpstreamError
from incoder.inference.upstream.completions import Piece, parse_piece
from incoder.inference.upstream.marked_text import SuffixFieldFormat, as_text
from incoder.tokenizer.text_tokenizer import TextTokenizer


class UpstreamServer:
    """A completions server; `tokenizer` is its model's, None if it is not known here."""

    def __init__(self, client: UpstreamClient, model: str | None, tokenizer: TextTokenizer | None) -> None:
        self._client = client
        self._model = model
        self._tokenizer = tokenizer
        self._asking = asyncio.Lock()
        self._capabilities: Capabilities | None = None

    @property
    def url(self) -> str:
        """The base URL."""
        return self._client.url

    async def capabilities(self) -> Capabilities:
        """Return what the server can do, which is found out once.

        Raises:
            IncoderError: as `find_capabilities` says.
        """
        async with self._asking:
            if self._capabilities is None:
                self._capabilities = await find_capabilities(self._client, self._model, self._tokenizer)
        return self._capabilities

    def reset(self) -> None:
        """Ask for the capabilities again at the next request: the server may have been replaced."""
        self._capabilities = None

    async def stream(
        self, token_ids: Sequence[int], vocabulary: TextVocabulary, fields: dict[str, Any]
    ) -> AsyncGenerator[Piece]:
        """Yield the pieces of a completion of these tokens, up to the one with a reason.

        Raises:
            IncoderError: the server fails, or the prompt cannot be written as text.
        """
        body = {**await self._body(token_ids, vocabulary), **fields, "stream": True}
        reason = None
        async with aclosing(self._client.stream(COMPLETIONS, body)) as answers:
            async for answer in answers:
                piece = parse_piece(answer, self.url)
                reason = piece.finish_reason or reason
                yield piece
        if reason is None:
            raise UpstreamError(f"{self.url}: the answer ended without a reason", is_temporary=True)

    async def next_token(
        self,
        token_ids: Sequence[int],
        vocabulary: TextVocabulary,
        fields: dict[str, Any],
        restriction: dict[str, Any],
    ) -> Piece:
        """Return a completion by one token, restricted by a field such as `constrained` returns."""
        body = {**await self._body(token_ids, vocabulary), **fields, "max_tokens": 1} | restriction
        biases = {**fields.get("logit_bias", {}), **restriction.get("logit_bias", {})}
        body |= {"logit_bias": biases} if biases else {}
        return parse_piece(await self._client.post(COMPLETIONS, body), self.url)

    async def echo(
        self, token_ids: Sequence[int], vocabulary: TextVocabulary, num_alternatives: int = 0
    ) -> Piece:
        """Return the given tokens with their log-probabilities, each after those before it.

        Raises:
            UpstreamError: the server cannot echo, or returns another number of tokens.
        """
        can = await self.capabilities()
        if not can.echo:
            raise UpstreamError(
                f"{self.url} returns no log-probabilities of given tokens (echo, logprobs, token ids), "
                "so it cannot score texts; vLLM can"
            )
        body = {**await self._body(token_ids, vocabulary), "max_tokens": 1, "temperature": 0, "echo": True}
        body["logprobs"] = max(1, num_alternatives)
        if can.extensions:
            body["return_tokens_as_token_ids"] = True
        piece = parse_piece(await self._client.post(COMPLETIONS, body), self.url)
        logprobs = [one.logprob for one in piece.tokens[1 : len(token_ids)]]
        if len(piece.tokens) < len(token_ids) or None in logprobs:
            raise UpstreamError(
                f"{self.url} returned {len(piece.tokens)} tokens for a prompt of {len(token_ids)}; is the "
                "tokenizer the model's?"
            )
        return piece

    async def _body(self, token_ids: Sequence[int], vocabulary: TextVocabulary) -> dict[str, Any]:
        """Return the fields of a body that name the model and give the prompt."""
        can, layout = await self.capabilities(), vocabulary.layout
        body: dict[str, Any] = {"model": can.model}
        if can.token_ids:
            return body | {"prompt": list(token_ids)}
        if isinstance(layout, SuffixFieldFormat):
            prompt, suffix = (
                None if ids is None else vocabulary.tokenizer.decode(ids) for ids in layout.split(token_ids)
            )
            return body | ({"prompt": prompt} if suffix is None else {"prompt": prompt, "suffix": suffix})
        text = as_text(token_ids, vocabulary.tokenizer, document_start_id=layout.document_start_id)
        return body | {"prompt": text}

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
