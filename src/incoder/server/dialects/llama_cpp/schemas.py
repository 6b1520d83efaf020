"""JSON schemas of llama.cpp's bodies, for /openapi.json and for tests that make bodies of them."""

from typing import Any

from incoder.request import MAX_ALTERNATIVES
from incoder.server.dialects.openai_fields import SAMPLING_SCHEMA

_WHOLE = {"type": ["integer", "null"], "minimum": -1, "maximum": 2**31 - 1}
_TEXT = {"type": ["string", "null"]}
_SWITCH = {"type": ["boolean", "null"]}
_IDS = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}}

_COMMON: dict[str, Any] = {
    **{name: schema for name, schema in SAMPLING_SCHEMA.items() if name != "max_tokens"},
    "model": _TEXT,
    "stream": _SWITCH,
    "n_predict": {**_WHOLE, "maximum": 64},
    "n_cmpl": {"type": ["integer", "null"], "minimum": 1, "maximum": 4},
    "n_indent": {**_WHOLE, "minimum": 0},
    "n_probs": {**_WHOLE, "minimum": 0, "maximum": MAX_ALTERNATIVES},
    "post_sampling_probs": _SWITCH,
    "return_tokens": _SWITCH,
    "repeat_penalty": {"type": ["number", "null"], "minimum": 0.01, "maximum": 100},
    "t_max_predict_ms": {"type": ["number", "null"], "minimum": -1, "maximum": 10_000},
    "id_slot": _WHOLE,
    "response_fields": {"type": ["array", "null"], "maxItems": 64, "items": {"type": "string"}},
}

INFILL_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["input_prefix", "input_suffix"],
    "properties": {
        **_COMMON,
        "input_prefix": {"type": "string"},
        "input_suffix": {"type": "string"},
        "prompt": _TEXT,
        "input_extra": {
            "type": ["array", "null"],
            "maxItems": 256,
            "items": {
                "type": "object",
                "required": ["text"],
                "properties": {"text": {"type": "string"}, "filename": _TEXT},
            },
        },
    },
}

COMPLETION_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["prompt"],
    "properties": {
        **_COMMON,
        "prompt": {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 4},
                {**_IDS, "minItems": 1},
            ]
        },
    },
}
