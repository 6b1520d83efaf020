"""Tabby's routes, as its editor extensions use them.

POST /v1/completions is OpenAI's path as well; a body with `segments` is Tabby's (routes in catalogue.py).
Events count what was shown and accepted; nothing of them is kept.
"""

import os
import platform
from pathlib import PurePath
from typing import Any

from starlette.responses import Response

from incoder import __version__
from incoder.corpus.text.languages import EXTENSIONS_OF
from incoder.request import InfillRequest, PromptOptions
from incoder.sampling_params import DEFAULT_TEMPERATURE, SamplingParams
from incoder.server.call import Answer, Call
from incoder.server.dialects.openai_fields import read_seed
from incoder.server.dialects.other_files import by_name
from incoder.server.exchange import Exchange
from incoder.server.fields import Fields
from incoder.server.request_error import JSON
from incoder.server.route import Handler, Route

_MAX_TOKENS = 64  # Tabby's own
_MAX_SNIPPETS = 64
# By importance, the least important first: the last ones are shown first.
_SNIPPETS = (
    "relevant_snippets_from_recently_opened_files",
    "relevant_snippets_from_changed_files",
    "declarations",
)
_EXTENSIONS = {language.lower(): extensions.split()[0] for language, extensions in EXTENSIONS_OF.items()} | {
    "cpp": ".cpp",
    "csharp": ".cs",
    "javascriptreact": ".jsx",
    "typescriptreact": ".tsx",
    "shellscript": ".sh",
}
_EVENTS = {"view": "shown", "select": "accepted", "dismiss": "dismissed"}


async def completions(exchange: Exchange) -> Response:
    """Answer POST /v1/completions with a body of Tabby's."""
    return await exchange.generate(read(await exchange.fields()))


def read(body: Fields) -> Call:
    """Return the call of a body with `segments`, or with a raw prompt among the options for debugging.

    Raises:
        FieldError: a field is missing, of the wrong kind, or outside of its range.

    >>> body = {"language": "python", "segments": {"prefix": "x = ", "suffix": "\\n"}}
    >>> read(Fields(body)).requests[0].prompt.path
    PurePosixPath('untitled.py')
    """
    if body.one_of("mode", "standard", ("standard", "next_edit_suggestion")) != "standard":
        raise body.error("mode", "must be standard; this server suggests no next edits here")
    debug = body.nested("debug_options")
    seed = read_seed(body)
    sampling = SamplingParams(
        temperature=body.number("temperature", DEFAULT_TEMPERATURE, 0, 100),
        max_new_tokens=_MAX_TOKENS,
        seed=seed or 0,
    )
    raw_prompt = debug.text("raw_prompt", None)
    if raw_prompt is None:
        request = _infill(body, sampling)
    else:
        request = InfillRequest(parts=(raw_prompt,), sampling=sampling)
    shows_prompt = debug.switch("return_prompt", False)

    def write(answer: Answer) -> JSON:
        (result,) = answer.results
        choices = [{"index": index, "text": one.infills[0]} for index, one in enumerate(result.candidates)]
        written: dict[str, Any] = {"id": f"cmpl-{answer.id}", "choices": choices, "mode": "standard"}
        if shows_prompt and result.prompt is not None:
            written["debug_data"] = {"prompt": result.prompt.text}
        return written

    return Call(requests=[request], write=write, any_model=True, has_seed=seed is not None)


def _infill(body: Fields, sampling: SamplingParams) -> InfillRequest:
    segments = body.nested("segments")
    prefix, suffix = segments.required_text("prefix"), segments.text("suffix", "")
    extension = _EXTENSIONS.get(body.text("language", "").lower(), "")
    files = by_name(
        (snippet.required_text("filepath"), snippet.required_text("body"))
        for name in _SNIPPETS
        for snippet in segments.nested_list(name, _MAX_SNIPPETS)
    )
    path = segments.text("filepath", "") or (f"untitled{extension}" if extension or files else None)
    options = PromptOptions(path=None if path is None else PurePath(path), other_files=files)
    return InfillRequest(parts=(prefix, suffix), prompt=options, sampling=sampling)


async def events(exchange: Exchange) -> Response:
    """Answer POST /v1/events: count a suggestion that was shown, accepted or dismissed."""
    body = await exchange.fields()
    kind = body.one_of("type", "", tuple(_EVENTS))
    if not kind:
        raise body.error("type", f"is required, one of {', '.join(_EVENTS)}")
    event = _EVENTS[kind]
    if event == "accepted" and exchange.request.query_params.get("select_kind") == "line":
        event = "partially accepted"
    exchange.server.metrics.suggestions.labels(event).inc()
    return Response()


async def health(exchange: Exchange) -> Response:
    """Answer GET and POST /v1/health. Clients need `version.git_describe`."""
    return exchange.answer(
        {
            "model": exchange.server.models.default.facts.name,
            "chat_model": None,
            "device": "cpu",
            "arch": platform.machine(),
            "cpu_info": "",
            "cpu_count": os.cpu_count() or 1,
            "cuda_devices": [],
            "version": {
                "build_date": "",
                "build_timestamp": "",
                "git_sha": "",
                "git_describe": f"v{__version__}",
            },
        }
    )


async def server_setting(exchange: Exchange) -> Response:
    """Answer GET /v1beta/server_setting: clients send no telemetry."""
    return exchange.answer({"disable_client_side_telemetry": True})


async def models(exchange: Exchange) -> Response:
    """Answer GET /v1beta/models."""
    names = [source.facts.name for source in exchange.server.models.sources]
    return exchange.answer({"completion": names, "chat": None, "embedding": None})


BODY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["segments"],
    "properties": {
        "language": {"type": ["string", "null"]},
        "segments": {
            "type": "object",
            "required": ["prefix"],
            "properties": {
                "prefix": {"type": "string"},
                "suffix": {"type": ["string", "null"]},
                "filepath": {"type": ["string", "null"]},
            },
        },
        "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 100},
        "seed": {"type": ["integer", "null"], "minimum": 0, "maximum": 2**63},
    },
}
_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"enum": list(_EVENTS)},
        "completion_id": {"type": "string"},
        "choice_index": {"type": "integer", "minimum": 0, "maximum": 1024},
    },
}


def _get(path: str, handler: Handler, summary: str) -> Route:
    return Route(method="GET", path=path, handler=handler, dialect="tabby", summary=summary)


def _post(path: str, handler: Handler, summary: str, body: dict[str, Any] | None) -> Route:
    return Route(method="POST", path=path, handler=handler, dialect="tabby", summary=summary, body=body)


ROUTES = (
    _get("/v1/health", health, "The server, as Tabby describes itself."),
    _post("/v1/health", health, "The server, as Tabby describes itself.", None),
    _post("/v1/events", events, "Count a suggestion that was shown, accepted or dismissed.", _EVENT_SCHEMA),
    _get("/v1beta/server_setting", server_setting, "Settings for Tabby's clients."),
    _get("/v1beta/models", models, "The models, as Tabby lists them."),
)
