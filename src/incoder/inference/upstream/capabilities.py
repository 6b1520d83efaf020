"""What a completions server can do, found out by probes when it is first used.

Every probe writes one token. A refusal is an answer; only a server that completes no text at all is an error.
Imports no torch.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from incoder.errors import IncoderError, shown
from incoder.inference.upstream.client import JSON, UpstreamClient, UpstreamError
from incoder.inference.upstream.completions import Piece, parse_piece
from incoder.tokenizer.text_tokenizer import TextTokenizer

Constraint = Literal["allowed_token_ids", "logit_bias"]

COMPLETIONS = "/completions"
BIAS = 100.0  # the largest of OpenAI's API; it outweighs every logit of a model
_TEXT = "x = 1\ny ="
_MAX_SHOWN_MODELS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What one server can do with one model.

    `token_ids`: prompts may be token ids. `logprobs`: it returns the log-probabilities of the tokens that it
    writes; `echo`: of a prompt of token ids. `constraint` is the field that restricts the next token.
    `extensions`: it accepts vLLM's fields beside OpenAI's. `suffix`: it fills the hole before a suffix.
    `context_length` is None if it does not say.
    """

    model: str
    context_length: int | None = None
    token_ids: bool = False
    logprobs: bool = False
    echo: bool = False
    constraint: Constraint | None = None
    extensions: bool = False
    suffix: bool = False

    def notes(self, *, has_tokenizer: bool) -> list[str]:
        """Return a line for everything that the server cannot do, and what that means.

        >>> Capabilities(model="m").notes(has_tokenizer=False)[1]
        'no log-probabilities: candidates are not ranked'
        """
        missing = []
        if not has_tokenizer:
            missing.append("no tokenizer here: prompts are sent as text, and texts cannot be scored")
        elif not self.token_ids:
            missing.append("no token ids: prompts are sent as text, without token healing")
        if not self.logprobs:
            missing.append("no log-probabilities: candidates are not ranked")
        if has_tokenizer and not self.echo:
            missing.append("no log-probabilities of prompts (echo): texts cannot be scored")
        if self.token_ids and self.constraint is None:
            missing.append(
                "no constraint on the next token: infills cannot begin inside a word (no token healing)"
            )
        return missing


async def find_capabilities(
    client: UpstreamClient, model: str | None, tokenizer: TextTokenizer | None
) -> Capabilities:
    """Ask the server for its models, and try what it can do with one of them, by default its only one.

    Raises:
        UpstreamError: it does not answer, or completes no text.
        IncoderError: it does not have the model, or has several and none was named.
    """
    name, context_length = await choose_model(client, model)
    await _complete(client, {"model": name, "prompt": _TEXT, "max_tokens": 1})  # without it, nothing works
    found = Capabilities(model=name, context_length=context_length)
    prompt: str | list[int] = _TEXT
    if tokenizer is not None:
        ids = tokenizer.encode(_TEXT)
        if await _try(client, {"model": name, "prompt": ids}) is not None:
            found, prompt = replace(found, token_ids=True), ids
    body = {"model": name, "prompt": prompt}
    token_id = _some_token(tokenizer)
    written, extended, allowed, biased, echoed, filled = await asyncio.gather(
        _try(client, body | {"logprobs": 1}),
        _try(client, body | {"stop_token_ids": [0], "return_tokens_as_token_ids": True, "top_k": 5}),
        _try(client, body | _constrained("allowed_token_ids", token_id)),
        _try(client, body | _constrained("logit_bias", token_id)),
        _try(client, body | {"logprobs": 1, "echo": True}),
        _try(client, {"model": name, "prompt": _TEXT, "suffix": "\nz = 2\n"}),
    )
    constraint: Constraint | None = None
    if tokenizer is not None and found.token_ids:
        text = tokenizer.decode([token_id])
        if allowed is not None and allowed.text == text:
            constraint = "allowed_token_ids"
        elif biased is not None and biased.text == text:
            constraint = "logit_bias"
    return replace(
        found,
        logprobs=written is not None and any(one.logprob is not None for one in written.tokens),
        echo=echoed is not None and len(echoed.tokens) >= len(prompt) and found.token_ids,
        constraint=constraint,
        extensions=extended is not None,
        suffix=filled is not None,
    )


async def choose_model(client: UpstreamClient, model: str | None) -> tuple[str, int | None]:
    """Return the name of the served model, and the length of its context if the server says it.

    Raises:
        UpstreamError: the server has no list of models, and none was named.
        IncoderError: it does not have the model, or has several and none was named.
    """
    try:
        served = _models(await client.get("/models"))
    except UpstreamError as error:
        if model is None or error.status not in (404, 405, 501):
            raise
        return model, None  # some servers have no such list
    names = ", ".join(shown(name) for name in [*served][:_MAX_SHOWN_MODELS]) or "none"
    if model is None:
        if len(served) != 1:
            raise IncoderError(f"{client.url} serves several models or none ({names}); name one of them")
        (model,) = served
    if model not in served:
        raise IncoderError(f"{client.url} has no model {shown(model)}; it serves {names}")
    return model, served[model]


def _models(answer: JSON) -> dict[str, int | None]:
    """Return the context length of each served model; vLLM calls it max_model_len."""
    try:
        return {str(one["id"]): _context_length(one) for one in answer["data"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise UpstreamError(f"the list of models is not OpenAI's: {shown(answer)}") from error


def _context_length(model: Mapping[str, Any]) -> int | None:
    meta = model.get("meta")  # llama.cpp
    of_llama = meta.get("n_ctx") if isinstance(meta, dict) else None
    lengths = (model.get("max_model_len"), model.get("context_length"), of_llama)
    return next((one for one in lengths if type(one) is int and one > 1), None)


def _some_token(tokenizer: TextTokenizer | None) -> int:
    """Return a token that no model would write after the text of the probes by itself."""
    return 0 if tokenizer is None else tokenizer.encode("\t\t#")[0]


def constrained(field: Constraint, token_ids: Sequence[int]) -> dict[str, Any]:
    """Return the field of a body that restricts its only token to some ids.

    >>> constrained("logit_bias", [7])
    {'logit_bias': {'7': 100.0}}
    """
    if field == "allowed_token_ids":
        return {field: list(token_ids)}
    return {field: {str(token_id): BIAS for token_id in token_ids}}


def _constrained(field: Constraint, token_id: int) -> dict[str, Any]:
    return constrained(field, [token_id])


async def _try(client: UpstreamClient, body: dict[str, Any]) -> Piece | None:
    """Return the answer to a probe, or None if the server refuses it or answers nonsense."""
    try:
        return await _complete(client, body | {"max_tokens": 1, "temperature": 0})
    except UpstreamError as error:
        if error.status is None and error.is_temporary:  # it is gone
            raise
        return None


async def _complete(client: UpstreamClient, body: dict[str, Any]) -> Piece:
    return parse_piece(await client.post(COMPLETIONS, body), client.url)
