"""Ollama's POST /api/generate.

A stream is a line of JSON for each piece, and it is the default. A body without a prompt loads its model, or
unloads it with `keep_alive` 0. Unlike Ollama, an empty prompt with a suffix is an infill: the hole is at the
start of the file.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from starlette.responses import Response

from incoder.request import InfillRequest
from incoder.results import Alternative, InfillResult, TextPiece, Token
from incoder.server.call import Answer, Call
from incoder.server.dialects.markers import split_alias
from incoder.server.dialects.openai_fields import read_sampling, read_seed
from incoder.server.exchange import Exchange
from incoder.server.fields import Fields
from incoder.server.request_error import JSON, RequestError
from incoder.server.route import Route

_MANY_TOKENS = 1024  # where a client asks for as many as the model writes
_DEFAULT_TOKENS = 128
_MAX_ALTERNATIVES = 20
_NANOSECONDS = 1_000_000_000


async def generate(exchange: Exchange) -> Response:
    """Answer POST /api/generate."""
    body = await exchange.fields()
    action = requested_action(body)
    if action is None:
        return await exchange.generate(read(body))
    models = exchange.server.models
    name = models.find(served_name(body)).facts.name
    if action == "load":
        async with models.use(name):
            pass
    else:
        await models.unload(name)
    model = body.text("model", "") or name
    answer = {**_head(model, datetime.now(UTC)), "response": "", "done": True, "done_reason": action}
    return exchange.answer(answer)


def requested_action(body: Fields) -> Literal["load", "unload"] | None:
    """Return what a body without a text asks for, None for one with a text.

    >>> requested_action(Fields({"keep_alive": 0})), requested_action(Fields({"suffix": "x"}))
    ('unload', None)
    """
    if body.text("prompt", "") or body.text("suffix", ""):
        return None
    return "unload" if _is_zero(body) else "load"


def read(body: Fields) -> Call:
    """Return the call of a body with a text.

    Raises:
        FieldError: a field of the wrong kind or outside of its range.

    >>> read(Fields({"prompt": "", "suffix": "x = 1\\n"})).requests[0].parts
    ('', 'x = 1\\n')
    """
    for name in ("format", "images"):
        if body.has_effect(name):
            raise body.error(name, "is not supported by this server; leave it out")
    _is_zero(body)  # checks the field
    prompt, suffix = body.text("prompt", ""), body.text("suffix", "")
    options = body.nested("options")
    num_predict = options.whole("num_predict", _DEFAULT_TOKENS, -2, 2**31)
    seed = None if options.whole("seed", -1, -(2**63), 2**63) == -1 else read_seed(options)
    sampling = replace(
        read_sampling(options.without("seed", "max_tokens", "max_completion_tokens"), _DEFAULT_TOKENS),
        max_new_tokens=_MANY_TOKENS if num_predict < 0 else max(1, num_predict),
        seed=seed or 0,
        # CellSense writes its stop strings beside the options.
        stop=tuple(dict.fromkeys((*options.stops("stop"), *body.stops("stop")))),
        repetition_penalty=options.number("repeat_penalty", 1.0, 0.01, 100),
    )
    num_alternatives = body.whole("top_logprobs", 0, 0, _MAX_ALTERNATIVES)
    request = InfillRequest(
        parts=(prompt, suffix) if suffix else (prompt,),
        sampling=sampling,
        num_alternatives=num_alternatives,
    )
    writer = Writer(body.text("model", ""), body.switch("logprobs", False))
    return Call(
        requests=[request],
        write=writer.answer,
        stream=Stream(writer) if body.switch("stream", True) else None,
        framing="ndjson",
        model=_without_tag(writer.model),
        has_seed=seed is not None,
    )


def served_name(body: Fields) -> str:
    """Return the name of the served model that a body means; /api/show may call it `name`.

    >>> served_name(Fields({"name": "starcoder2:incoder"})), served_name(Fields({"model": "mini:latest"}))
    ('', 'mini')
    """
    return split_alias(_without_tag(body.text(body.first_of("model", "name"), "")))[1]


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the answer; `model` is the name that the client used."""

    model: str
    has_logprobs: bool

    def answer(self, answer: Answer) -> JSON:
        return self.last(answer, answer.results[0].infills[0])

    def last(self, answer: Answer, text: str) -> dict[str, Any]:
        """Return the object that ends an answer, with all counts and times."""
        (result,) = answer.results
        timing = result.timing
        logprobs = {"logprobs": [_logprob(one) for one in _tokens(result)]} if self.has_logprobs else {}
        is_complete = result.candidates[0].finish_reasons[0] in ("end", "stop")
        return {
            **self.head(answer),
            "response": text,
            "done": True,
            "done_reason": "stop" if is_complete else "length",
            **logprobs,
            "total_duration": _nanoseconds(answer.total_seconds),
            "load_duration": 0,
            "prompt_eval_count": answer.num_prompt_tokens,
            "prompt_eval_duration": _nanoseconds(0 if timing is None else timing.prefill_seconds),
            "eval_count": answer.num_completion_tokens,
            "eval_duration": _nanoseconds(0 if timing is None else timing.decode_seconds),
        }

    def head(self, answer: Answer) -> dict[str, Any]:
        return _head(self.model or answer.model, datetime.now(UTC))


@dataclass(slots=True)
class Stream:
    """Writes a line for each piece, and one with all counts at the end."""

    writer: Writer
    _head: dict[str, Any] = field(default_factory=dict)
    _is_begun: bool = False

    def start(self, answer: Answer) -> None:
        self._head = self.writer.head(answer)

    def piece(self, index: int, piece: TextPiece) -> Iterable[JSON]:
        del index  # there is one request
        self._is_begun = True
        yield {**self._head, "created_at": rfc3339(datetime.now(UTC)), "response": piece.text, "done": False}

    def end(self, answer: Answer) -> Iterable[JSON]:
        yield self.writer.last(answer, "" if self._is_begun else answer.results[0].infills[0])

    def error(self, error: RequestError) -> JSON:
        return ollama_error(error)


def ollama_error(error: RequestError) -> JSON:
    """Return an error in Ollama's shape.

    >>> ollama_error(RequestError(404, "no such model"))
    {'error': 'no such model'}
    """
    return {"error": error.message}


def _is_zero(body: Fields) -> bool:
    """Whether the model shall be unloaded at once: `keep_alive` is 0, "0" or "0s"; a duration otherwise."""
    if not body.is_text("keep_alive"):
        return body.number("keep_alive", None, -(2**63), 2**63) == 0
    number = body.text("keep_alive", "").strip().rstrip("nuµmsh")
    try:
        return float(number) == 0
    except ValueError:
        pass
    if not number or len(number) > 32 or set(number) - set("-+0123456789.hmsnuµ"):
        raise body.error("keep_alive", 'must be a number of seconds or a duration such as "5m"')
    return False


def _without_tag(model: str) -> str:
    return model.removesuffix(":latest")


def _tokens(result: InfillResult) -> tuple[Token, ...]:
    return tuple(one for one in result.candidates[0].tokens[0] if one.data)


def _logprob(token: Token) -> dict[str, Any]:
    return {**_one_logprob(token), "top_logprobs": [_one_logprob(one) for one in token.alternatives]}


def _one_logprob(token: Token | Alternative) -> dict[str, Any]:
    return {"token": token.text, "logprob": token.logprob, "bytes": list(token.data)}


def _head(model: str, now: datetime) -> dict[str, Any]:
    return {"model": model, "created_at": rfc3339(now)}


def rfc3339(moment: datetime) -> str:
    """Return a time as Ollama writes it.

    >>> rfc3339(datetime(2026, 1, 2, tzinfo=UTC))
    '2026-01-02T00:00:00.000000Z'
    """
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _nanoseconds(seconds: float) -> int:
    return max(0, round(seconds * _NANOSECONDS))


_TEXT = {"type": ["string", "null"]}
_OPTIONS_SCHEMA = {
    "type": ["object", "null"],
    "properties": {
        "num_predict": {"type": ["integer", "null"], "minimum": -2, "maximum": 64},
        "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 100},
        "top_k": {"type": ["integer", "null"], "minimum": -1, "maximum": 2**31},
        "top_p": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "seed": {"type": ["integer", "null"], "minimum": -1, "maximum": 2**31},
        "stop": {"type": ["array", "null"], "maxItems": 16, "items": {"type": "string", "maxLength": 64}},
    },
}
GENERATE_SCHEMA = {
    "type": "object",
    "properties": {
        "model": _TEXT,
        "prompt": _TEXT,
        "suffix": _TEXT,
        "stream": {"type": ["boolean", "null"]},
        "raw": {"type": ["boolean", "null"]},
        "options": _OPTIONS_SCHEMA,
        "logprobs": {"type": ["boolean", "null"]},
        "top_logprobs": {"type": ["integer", "null"], "minimum": 0, "maximum": _MAX_ALTERNATIVES},
    },
}

ROUTES = (
    Route(
        method="POST",
        path="/api/generate",
        handler=generate,
        dialect="ollama",
        summary="Fill or continue a text, as Ollama does; without a text, load or unload the model.",
        error=ollama_error,
        body=GENERATE_SCHEMA,
        streams="application/x-ndjson",
    ),
)
