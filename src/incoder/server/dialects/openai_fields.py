"""The fields that OpenAI's dialects share: sampling, stop strings, the seed; and their JSON schemas."""

from typing import Any

from incoder.sampling_params import DEFAULT_TEMPERATURE, SamplingParams
from incoder.server.fields import MAX_NUMBER, MAX_STOP_LENGTH, MAX_STOPS, MAX_TOKEN_ID, Fields

MAX_TOKENS = 2**31  # a client that wants no limit sends something large
_MAX_TEMPERATURE = 100.0
_MAX_BIASES = 1024
_LEAST_TOP_P = 1e-6  # 0 means the most probable token alone


def read_sampling(body: Fields, default_max_tokens: int) -> SamplingParams:
    """Return how tokens are chosen; what the body leaves out is as `InfillRequest` has it.

    Raises:
        FieldError: a field of the wrong kind or outside of its range.

    >>> read_sampling(Fields({"temperature": 0, "stop": ["a", "a"]}), 16).stop
    ('a',)
    """
    top_k = body.whole("top_k", 0, -1, MAX_TOKEN_ID)
    limit = body.first_of("max_tokens", "max_completion_tokens")
    return SamplingParams(
        temperature=body.number("temperature", DEFAULT_TEMPERATURE, 0, _MAX_TEMPERATURE),
        top_p=max(_LEAST_TOP_P, body.number("top_p", SamplingParams().top_p, 0, 1)),
        top_k=top_k if top_k > 0 else None,
        min_p=body.number("min_p", 0.0, 0, 1),
        max_new_tokens=max(1, body.whole(limit, default_max_tokens, 0, MAX_TOKENS)),
        stop=body.stops("stop"),
        seed=read_seed(body) or 0,
        presence_penalty=body.number("presence_penalty", 0.0, -2, 2),
        frequency_penalty=body.number("frequency_penalty", 0.0, -2, 2),
        repetition_penalty=body.number("repetition_penalty", 1.0, 0.01, 100),
        logit_bias=read_biases(body),
    )


def read_seed(body: Fields, name: str = "seed") -> int | None:
    """Return the seed, None if the body has none; a negative one counts from the other end.

    >>> read_seed(Fields({"seed": -1}))
    9223372036854775807
    """
    seed = body.whole(name, None, -MAX_NUMBER, MAX_NUMBER)
    return None if seed is None else seed % 2**63


def read_biases(body: Fields) -> dict[int, float]:
    """Return `logit_bias`, whose token ids are strings in JSON.

    >>> read_biases(Fields({"logit_bias": {"7": -100}}))
    {7: -100.0}
    """
    biases = body.nested("logit_bias")
    if len(biases.names) > _MAX_BIASES:
        raise body.error("logit_bias", f"must have at most {_MAX_BIASES} tokens, got {len(biases.names)}")
    found = {}
    for name in biases.names:
        if not (name.isdecimal() and name.isascii() and len(name) <= 10):
            raise body.error("logit_bias", "must map token ids, as strings of digits, to numbers")
        found[int(name)] = biases.number(name, 0.0, -100, 100)
    return found


def _number(least: float, most: float) -> dict[str, Any]:
    return {"type": ["number", "null"], "minimum": least, "maximum": most}


def _whole(least: int, most: int) -> dict[str, Any]:
    return {"type": ["integer", "null"], "minimum": least, "maximum": most}


STOP_SCHEMA = {
    "anyOf": [
        {"type": "string", "maxLength": MAX_STOP_LENGTH},
        {
            "type": "array",
            "maxItems": MAX_STOPS,
            "items": {"type": "string", "maxLength": MAX_STOP_LENGTH},
        },
        {"type": "null"},
    ]
}

SAMPLING_SCHEMA: dict[str, Any] = {
    "max_tokens": _whole(0, MAX_TOKENS),
    "temperature": _number(0, _MAX_TEMPERATURE),
    "top_p": _number(0, 1),
    "top_k": _whole(-1, MAX_TOKEN_ID),
    "min_p": _number(0, 1),
    "stop": STOP_SCHEMA,
    "seed": _whole(-(2**63), 2**63),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "repetition_penalty": _number(0.01, 100),
    "logit_bias": {
        "type": ["object", "null"],
        "maxProperties": _MAX_BIASES,
        "propertyNames": {"pattern": "^[0-9]{1,9}$"},
        "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
    },
    "stream": {"type": ["boolean", "null"]},
}
