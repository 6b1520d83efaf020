"""Bodies of completion requests, and their answers: text, tokens with log-probabilities, and the end.

Tokens are named by id (`token_id:7`, vLLM), else by their texts. Knows no HTTP and no holes.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from incoder.errors import shown
from incoder.inference.upstream.client import JSON, UpstreamError
from incoder.sampling_params import SamplingParams

_BY_ID = re.compile("token_id:([0-9]{1,9})")
_TOKEN_LIMIT = 1 << 20  # of one answer


@dataclass(frozen=True, slots=True)
class UpstreamToken:
    """A token by its id (None if the server names texts) or its text; `alternatives` in the same way."""

    token_id: int | None
    text: str
    logprob: float | None
    alternatives: tuple[tuple[int | None, str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer: its text, its tokens if the server names them, and the reason if it is the last.

    `num_prompt`, `num_cached` and `num_written` count tokens, as the server reports them at the end.
    """

    text: str = ""
    tokens: tuple[UpstreamToken, ...] = ()
    finish_reason: str | None = None
    num_prompt: int | None = None
    num_cached: int = 0
    num_written: int | None = None


def sampling_fields(params: SamplingParams, seed: int, *, extended: bool) -> dict[str, Any]:
    """Return the fields of a body for these settings; with `extended`, also those that OpenAI lacks."""
    fields: dict[str, Any] = {"temperature": params.temperature}
    if params.temperature > 0:
        fields |= {"top_p": params.top_p, "seed": seed}
        if extended and params.top_k is not None:
            fields["top_k"] = params.top_k
        if extended and params.min_p:
            fields["min_p"] = params.min_p
    if params.presence_penalty:
        fields["presence_penalty"] = params.presence_penalty
    if params.frequency_penalty:
        fields["frequency_penalty"] = params.frequency_penalty
    if extended and params.repetition_penalty != 1:
        fields["repetition_penalty"] = params.repetition_penalty
    if params.logit_bias:
        fields["logit_bias"] = {str(token_id): bias for token_id, bias in params.logit_bias.items()}
    return fields


def unsupported(params: SamplingParams) -> list[str]:
    """Return the settings that only servers with extended sampling know."""
    given = {
        "top_k": params.top_k is not None,
        "min_p": params.min_p > 0,
        "repetition_penalty": params.repetition_penalty != 1,
    }
    return [name for name, is_given in given.items() if is_given]


def parse_piece(answer: JSON, url: str) -> Piece:
    """Return the piece in an answer, or in an object of a stream.

    Raises:
        UpstreamError: a field is missing or of another kind.

    >>> parse_piece({"choices": [{"text": "x", "finish_reason": None}]}, "http://host/v1").text
    'x'
    """
    try:
        choices = answer["choices"]
        piece = _choice(choices[0]) if choices else Piece()
        usage = answer.get("usage")
        return piece if usage is None else _with_usage(piece, usage)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise UpstreamError(
            f"{url} is not an OpenAI-compatible completions server: it answered {shown(answer)}"
        ) from error


def _choice(choice: Mapping[str, Any]) -> Piece:
    text, reason = choice["text"], choice.get("finish_reason")
    if not isinstance(text, str) or not isinstance(reason, str | None):
        raise TypeError
    found = choice.get("logprobs")
    return Piece(text, () if found is None else tuple(_tokens(found)), reason)


def _tokens(found: Mapping[str, Any]) -> Iterable[UpstreamToken]:
    names, logprobs = found["tokens"], found["token_logprobs"]
    rankings: Sequence[Any] = found.get("top_logprobs") or [None] * len(names)
    if len(names) > _TOKEN_LIMIT:
        raise ValueError
    for name, logprob, ranking in zip(names, logprobs, rankings, strict=True):
        token_id, text = _named(name)
        others = sorted((ranking or {}).items(), key=lambda one: -_logprob(one[1]))
        alternatives = tuple((*_named(other), _logprob(value)) for other, value in others)
        yield UpstreamToken(token_id, text, None if logprob is None else _logprob(logprob), alternatives)


def _named(name: str) -> tuple[int | None, str]:
    by_id = _BY_ID.fullmatch(name)
    return (int(by_id[1]), "") if by_id else (None, name)


def _logprob(value: Any) -> float:
    if math.isnan(float(value)):
        raise ValueError
    return float(value)


def _with_usage(piece: Piece, usage: Mapping[str, Any]) -> Piece:
    details = usage.get("prompt_tokens_details") or {}
    return replace(
        piece,
        num_prompt=int(usage["prompt_tokens"]),
        num_cached=int(details.get("cached_tokens") or 0),
        num_written=int(usage.get("completion_tokens") or 0),
    )
