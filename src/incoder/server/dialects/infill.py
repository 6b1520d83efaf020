"""POST /v1/infill, our own: every field of `InfillRequest`, any number of holes, ranked candidates.

The text is `parts`, with a hole between each two, or `text`, with a hole at each <FILL>. A stream has an
event for each piece of text, with its candidate (in the order in which they are written) and its hole, then
one with the result, in which the candidates are ranked.
"""

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from starlette.responses import Response

from incoder.document import DEFAULT_HOLE, Parts
from incoder.request import InfillRequest
from incoder.results import Candidate, TextPiece, Token
from incoder.server.call import Answer, Call
from incoder.server.dialects.infill_fields import SETTINGS_SCHEMA, read_settings
from incoder.server.exchange import Exchange
from incoder.server.fields import Fields
from incoder.server.request_error import JSON, RequestError, openai_error
from incoder.server.route import Route

_MAX_PARTS = 1024  # settings.py bounds them further


async def infill(exchange: Exchange) -> Response:
    """Answer POST /v1/infill."""
    return await exchange.generate(read(await exchange.fields()))


def read(body: Fields) -> Call:
    """Return the call that a body means.

    Raises:
        FieldError: a field of the wrong kind or outside of its range.
        IncoderError: fields that exclude each other.

    >>> read(Fields({"text": "x = <FILL>", "temperature": 0})).requests[0].parts
    ('x = ', '')
    """
    parts = body.texts("parts", _MAX_PARTS)
    text = body.text("text", None)
    ids = tuple(one for prompt in body.prompts("prompt_ids") for one in prompt if isinstance(one, int))
    if (bool(parts) + (text is not None) + bool(ids)) != 1:
        raise body.error("parts", "must be given, or else text with <FILL> in it, or prompt_ids")
    if text is not None:
        parts = Parts.split(text, body.text("hole", DEFAULT_HOLE) or DEFAULT_HOLE).texts
    request = InfillRequest.from_settings(parts, **read_settings(body))
    if ids:
        request = replace(request, prompt_ids=ids)
    return Call(
        requests=[request],
        write=write,
        stream=_Stream() if body.switch("stream", False) else None,
        model=body.text("model", ""),
        has_seed="seed" in body,
        slot=body.text("slot", None),
    )


def write(answer: Answer) -> dict[str, Any]:
    """Return the result as JSON."""
    (result,) = answer.results
    usage = result.usage
    timing = result.timing
    return {
        "id": f"infill-{answer.id}",
        "object": "infill",
        "created": answer.created,
        "model": answer.model,
        "candidates": [_candidate(one) for one in result.candidates],
        "other_files_used": list(result.prompt.other_files) if result.prompt is not None else [],
        "usage": asdict(usage),
        "seconds": {
            "queued": answer.queued_seconds,
            "prefill": timing.prefill_seconds if timing is not None else None,
            "decode": timing.decode_seconds if timing is not None else None,
            "total": answer.total_seconds,
        },
        **_echoed(answer),
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "text": candidate.text,
        "infills": list(candidate.infills),
        "logprob": candidate.logprob,
        "total_logprob": candidate.total_logprob,
        "finish_reasons": list(candidate.finish_reasons),
        "tokens": [[_token(token) for token in tokens] for tokens in candidate.tokens],
    }


def _token(token: Token) -> dict[str, Any]:
    """Return a token; one that is no whole characters has its `bytes`, too, since its text lacks them."""
    alternatives = [
        {"id": one.token_id, "text": one.text, "logprob": one.logprob} for one in token.alternatives
    ]
    found: dict[str, Any] = {"id": token.token_id, "text": token.text, "logprob": token.logprob}
    if token.text.encode() != token.data:
        found["bytes"] = list(token.data)
    return {**found, "alternatives": alternatives} if alternatives else found


def _echoed(answer: Answer) -> dict[str, Any]:
    prompt = answer.results[0].prompt
    if prompt is None or not prompt.tokens:
        return {}
    return {"prompt_tokens": [_token(token) for token in prompt.tokens]}


class _Stream:
    def start(self, answer: Answer) -> None:
        """The first event needs none of it."""

    def piece(self, _: int, piece: TextPiece) -> Iterable[JSON]:
        yield {"type": "text", "candidate": piece.candidate, "hole": piece.hole, "text": piece.text}

    def end(self, answer: Answer) -> Iterable[JSON]:
        yield {"type": "result", **write(answer)}

    def error(self, error: RequestError) -> JSON:
        return {"type": "error", **openai_error(error)}


BODY_SCHEMA = {
    "type": "object",
    "properties": {
        "parts": {"type": ["array", "null"], "items": {"type": "string"}, "maxItems": 64},
        "text": {"type": ["string", "null"]},
        "hole": {"type": ["string", "null"]},
        "prompt_ids": {"type": ["array", "null"], "items": {"type": "integer", "minimum": 0}},
        "model": {"type": ["string", "null"]},
        "stream": {"type": ["boolean", "null"]},
        "slot": {"type": ["string", "null"]},
        **SETTINGS_SCHEMA,
    },
}

ROUTES = (
    Route(
        method="POST",
        path="/v1/infill",
        handler=infill,
        dialect="infill",
        summary="Fill the holes of a text; all settings of a request.",
        body=BODY_SCHEMA,
        streams="text/event-stream",
    ),
)
