"""The routes of llama.cpp's server."""

from typing import Any

from starlette.responses import Response

from incoder.server.dialects.llama_cpp.bodies import needs_tokenizer, read_completion, read_infill
from incoder.server.dialects.llama_cpp.errors import llama_error
from incoder.server.dialects.llama_cpp.schemas import COMPLETION_SCHEMA, INFILL_SCHEMA
from incoder.server.dialects.models_list import models
from incoder.server.dialects.openai import FINGERPRINT
from incoder.server.exchange import Exchange
from incoder.server.models.served_model import ModelFacts
from incoder.server.request_error import RequestError
from incoder.server.route import Handler, Route


async def infill(exchange: Exchange) -> Response:
    """Answer POST /infill."""
    body = await exchange.fields()
    facts = _facts(exchange, body.text("model", ""))
    if not facts.max_num_holes:
        raise RequestError(501, "Infill is not supported by this model", "not_supported_error")
    return await exchange.generate(read_infill(body, facts.num_tail_lines))


async def completion(exchange: Exchange) -> Response:
    """Answer POST /completion."""
    body = await exchange.fields()
    if not needs_tokenizer(body):
        return await exchange.generate(read_completion(body))
    async with exchange.server.models.use(_facts(exchange, body.text("model", "")).name) as model:
        tokenizer = model.tokenizer
    encode = None if tokenizer is None else tokenizer.encode
    return await exchange.generate(await exchange.in_thread(lambda: read_completion(body, encode)))


async def props(exchange: Exchange) -> Response:
    """Answer GET /props. It does not wake the model."""
    served = exchange.server.models
    facts = served.default.facts
    params = {"seed": 2**32 - 1, "n_predict": -1}
    return exchange.answer(
        {
            "default_generation_settings": {"id": 0, "n_ctx": facts.context_length, "params": params},
            "total_slots": exchange.server.settings.max_concurrent,
            "model_alias": facts.name,
            "model_path": facts.name,
            "chat_template": "",
            "modalities": {"vision": False, "audio": False},
            "build_info": FINGERPRINT,
            "is_sleeping": not served.is_loaded(facts.name),
        }
    )


async def slots(exchange: Exchange) -> Response:
    """Answer GET /slots: as many as requests run at once. `?fail_on_no_slot=1` is a 503 if all are busy."""
    num_slots = exchange.server.settings.max_concurrent
    num_busy = exchange.server.jobs.num_running
    if num_busy >= num_slots and exchange.request.query_params.get("fail_on_no_slot"):
        raise RequestError(503, "no slot available", "unavailable_error", retry_after=1)
    length = exchange.server.models.default.facts.context_length
    return exchange.answer(
        [
            {"id": slot, "n_ctx": length, "speculative": False, "is_processing": slot < num_busy}
            for slot in range(num_slots)
        ]
    )


def _facts(exchange: Exchange, model: str) -> ModelFacts:
    return exchange.server.models.find(model, any_model=True).facts


def _post(path: str, handler: Handler, summary: str, body: dict[str, Any], *, streams: bool = False) -> Route:
    return Route(
        method="POST",
        path=path,
        handler=handler,
        dialect="llama.cpp",
        summary=summary,
        error=llama_error,
        body=body,
        answer={"type": ["object", "array"]},
        streams="text/event-stream" if streams else None,
    )


def _get(path: str, handler: Handler, summary: str) -> Route:
    return Route(
        method="GET",
        path=path,
        handler=handler,
        dialect="llama.cpp",
        summary=summary,
        error=llama_error,
        answer={"type": ["object", "array"]},
    )


_COMPLETES = "Continue a prompt, or a list of them, as llama.cpp does."

ROUTES = (
    _post("/infill", infill, "Fill the hole at the cursor, as llama.cpp does.", INFILL_SCHEMA, streams=True),
    _post("/completion", completion, _COMPLETES, COMPLETION_SCHEMA, streams=True),
    _post("/completions", completion, _COMPLETES, COMPLETION_SCHEMA, streams=True),
    _get("/props", props, "The properties of the default model."),
    _get("/models", models, "The models, as at /v1/models."),
    _get("/slots", slots, "The places in which requests run."),
)
