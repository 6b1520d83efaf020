"""The settings of `InfillRequest` as fields of a JSON body, by their own names, and their JSON schemas.

`deadline` is not among them: it is an instant of this machine's clock, and `time_limit` says the same.
"""

from typing import Any, Final, cast, get_args

from incoder.request import MAX_ALTERNATIVES, MAX_CANDIDATES
from incoder.request_settings import ALL_STOPPING_RULES, LinesWanted, RankBy, RequestSettings
from incoder.sampling_params import MAX_BEAMS
from incoder.server.dialects.openai_fields import STOP_SCHEMA, read_biases
from incoder.server.fields import MAX_TOKEN_ID, Fields

MAX_FILES = 256
_MOST = 2**31

NUMBERS: Final = {
    "temperature": (0.0, 100.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "repetition_penalty": (0.01, 100.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "length_penalty": (-100.0, 100.0),
    "time_limit": (0.001, 3600.0),
    "decode_time_limit": (0.001, 3600.0),
}
WHOLES: Final = {
    "top_k": (1, _MOST),
    "max_new_tokens": (1, _MOST),
    "seed": (0, 2**63 - 1),
    "num_beams": (1, MAX_BEAMS),
    "max_lines": (1, _MOST),
    "num_candidates": (1, MAX_CANDIDATES),
    "num_alternatives": (0, MAX_ALTERNATIVES),
    "num_tail_lines": (0, 1000),
}
SWITCHES: Final = (
    *("speculate", "early_stopping", "token_healing", "echo", "allows_tags"),
    *("greedy_first", "branches"),
)
TEXTS: Final = ("path", "repository", "cache_salt", "project")
CHOICES: Final = {"rank_by": get_args(RankBy), "lines": get_args(LinesWanted)}


def read_settings(body: Fields) -> RequestSettings:
    """Return the settings that a body has; those that it leaves out keep their defaults.

    `stopping_rules` may also be true or false, for all of them or none.

    Raises:
        FieldError: a field of the wrong kind or outside of its range.

    >>> read_settings(Fields({"temperature": 0, "lines": "one"}))
    {'temperature': 0.0, 'lines': 'one'}
    """
    found: dict[str, Any] = {}
    for name, (least, most) in NUMBERS.items():
        found[name] = body.number(name, None, least, most)
    for name, (first, last) in WHOLES.items():
        found[name] = body.whole(name, None, first, last)
    for name in SWITCHES:
        found[name] = body.switch(name, False) if name in body else None
    for name in TEXTS:
        found[name] = body.text(name, None) or None
    for name, allowed in CHOICES.items():
        found[name] = body.one_of(name, None, allowed)
    for name in ("other_files", "attributes"):
        found[name] = _texts_by_name(body, name) or None
    found["stop"] = body.stops("stop") or None
    found["logit_bias"] = read_biases(body) or None
    found["allowed_first_ids"] = _token_ids(body, "allowed_first_ids") or None
    found["stopping_rules"] = _stopping_rules(body)
    settings = {name: value for name, value in found.items() if value is not None}
    return cast(RequestSettings, settings)


def _stopping_rules(body: Fields) -> tuple[str, ...] | None:
    if "stopping_rules" not in body:
        return None
    if body.is_switch("stopping_rules"):
        return ALL_STOPPING_RULES if body.switch("stopping_rules", True) else ()
    return body.texts("stopping_rules", len(ALL_STOPPING_RULES))


def _texts_by_name(body: Fields, name: str) -> dict[str, str]:
    inner = body.nested(name)
    if len(inner.names) > MAX_FILES:
        raise body.error(name, f"must have at most {MAX_FILES} entries, got {len(inner.names)}")
    return {key: inner.required_text(key) for key in inner.names}


def _token_ids(body: Fields, name: str) -> tuple[int, ...]:
    ids = tuple(one for prompt in body.prompts(name) for one in prompt if isinstance(one, int))
    if name in body and not ids:
        raise body.error(name, "must be a list of token ids")
    return ids


def _nullable(kind: str, **rules: Any) -> dict[str, Any]:
    return {"type": [kind, "null"], **rules}


SETTINGS_SCHEMA: dict[str, Any] = {
    **{name: _nullable("number", minimum=low, maximum=high) for name, (low, high) in NUMBERS.items()},
    **{name: _nullable("integer", minimum=low, maximum=high) for name, (low, high) in WHOLES.items()},
    **{name: _nullable("boolean") for name in SWITCHES},
    **{name: _nullable("string") for name in TEXTS},
    **{name: {"enum": [*allowed, None]} for name, allowed in CHOICES.items()},
    "other_files": _nullable("object", maxProperties=MAX_FILES, additionalProperties={"type": "string"}),
    "attributes": _nullable("object", maxProperties=MAX_FILES, additionalProperties={"type": "string"}),
    "stop": STOP_SCHEMA,
    "stopping_rules": {
        "anyOf": [
            {"type": ["boolean", "null"]},
            {"type": "array", "items": {"enum": list(ALL_STOPPING_RULES)}},
        ]
    },
    "logit_bias": _nullable(
        "object", additionalProperties={"type": "number", "minimum": -100, "maximum": 100}
    ),
    "allowed_first_ids": _nullable("array", items={"type": "integer", "minimum": 0, "maximum": MAX_TOKEN_ID}),
}
