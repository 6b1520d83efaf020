"""Mistral's POST /v1/fim/completions, as Codestral's clients send it."""

from dataclasses import replace

from starlette.responses import Response

from incoder.request import InfillRequest
from incoder.server.call import Call
from incoder.server.dialects.chat_answers import ChatStream, ChatWriter
from incoder.server.dialects.openai_fields import SAMPLING_SCHEMA, read_sampling, read_seed
from incoder.server.exchange import Exchange
from incoder.server.fields import Fields
from incoder.server.request_error import JSON, RequestError
from incoder.server.route import Route

_DEFAULT_MAX_TOKENS = 128


async def fim_completions(exchange: Exchange) -> Response:
    """Answer POST /v1/fim/completions."""
    return await exchange.generate(read(await exchange.fields()))


def read(body: Fields) -> Call:
    """Return the call of a body: the hole between `prompt` and `suffix`, or what follows a prompt alone.

    Clients name Mistral's models, so an unknown name means the default model.

    Raises:
        FieldError: a field is missing, of the wrong kind, or outside of its range.

    >>> read(Fields({"prompt": "x = ", "suffix": "\\n", "model": "codestral-latest"})).requests[0].parts
    ('x = ', '\\n')
    """
    prompt, suffix = body.required_text("prompt"), body.text("suffix", "")
    seed = read_seed(body, body.first_of("random_seed", "seed"))
    sampling = replace(read_sampling(body.without("seed"), _DEFAULT_MAX_TOKENS), seed=seed or 0)
    parts = (prompt, suffix) if suffix else (prompt,)
    return Call(
        requests=[InfillRequest(parts=parts, sampling=sampling)],
        write=ChatWriter().answer,
        stream=ChatStream(mistral_error) if body.switch("stream", False) else None,
        framing="sse-done",
        model=body.text("model", ""),
        any_model=True,
        has_seed=seed is not None,
    )


def mistral_error(error: RequestError) -> JSON:
    """Return an error in Mistral's shape.

    >>> mistral_error(RequestError(400, "prompt is required"))["object"]
    'error'
    """
    return {
        "object": "error",
        "message": error.message,
        "type": error.kind,
        "param": None,
        "code": str(error.status),
    }


BODY_SCHEMA = {
    "type": "object",
    "required": ["prompt"],
    "properties": {
        **{name: schema for name, schema in SAMPLING_SCHEMA.items() if name != "seed"},
        "model": {"type": ["string", "null"]},
        "prompt": {"type": "string"},
        "suffix": {"type": ["string", "null"]},
        "random_seed": {"type": ["integer", "null"], "minimum": 0, "maximum": 2**63 - 1},
    },
}

ROUTES = (
    Route(
        method="POST",
        path="/v1/fim/completions",
        handler=fim_completions,
        dialect="mistral",
        summary="Fill the hole between prompt and suffix, as Mistral's Codestral does.",
        error=mistral_error,
        body=BODY_SCHEMA,
        streams="text/event-stream",
    ),
)
