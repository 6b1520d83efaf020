"""The routes by which Ollama's clients find models: /api/tags, /api/ps, /api/show, /api/version."""

from datetime import datetime
from typing import Any, Literal

from starlette.responses import Response

from incoder.server.dialects.markers import ALIASES
from incoder.server.dialects.ollama import ollama_error, rfc3339, served_name
from incoder.server.exchange import Exchange
from incoder.server.models.served_model import ModelFacts
from incoder.server.route import Handler, Route

VERSION = "0.12.0"  # of the interface that these routes speak; clients compare it
TEMPLATE = "{{ .Prompt }}{{ if .Suffix }}<FILL>{{ .Suffix }}{{ end }}"  # clients search it for .Suffix
_MODIFIED = "2026-01-01T00:00:00Z"  # clients need a time, and a model's files may have any


async def tags(exchange: Exchange) -> Response:
    """Answer GET /api/tags: the models, and the aliases that declare a family's markers."""
    models = [source.facts for source in exchange.server.models.sources]
    listed = [_listed(one, one.name) for one in models]
    if models[0].max_num_holes:
        listed += [_listed(models[0], alias) for alias in ALIASES]
    return exchange.answer({"models": listed})


async def running(exchange: Exchange) -> Response:
    """Answer GET /api/ps: the models that are loaded. Asking keeps none of them loaded."""
    served = exchange.server.models
    loaded = [one.facts for one in served.sources if served.is_loaded(one.facts.name)]
    listed = [
        {**_listed(one, one.name), "expires_at": rfc3339(datetime.max), "size_vram": 0} for one in loaded
    ]
    return exchange.answer({"models": listed})


async def show(exchange: Exchange) -> Response:
    """Answer POST /api/show. Clients look for `.Suffix` in the template and for the capability `insert`."""
    facts = exchange.server.models.find(served_name(await exchange.fields())).facts
    fills = facts.max_num_holes > 0
    return exchange.answer(
        {
            "license": facts.licence or "",
            "modelfile": "",
            "parameters": "",
            "template": TEMPLATE if fills else "{{ .Prompt }}",
            "details": _details(facts),
            "model_info": {
                "general.architecture": "incoder",
                "general.parameter_count": facts.num_parameters or 0,
                "incoder.context_length": facts.context_length,
            },
            "capabilities": ["completion", *(["insert"] if fills else [])],
            "modified_at": _MODIFIED,
        }
    )


async def version(exchange: Exchange) -> Response:
    """Answer GET /api/version."""
    return exchange.answer({"version": VERSION})


def _listed(facts: ModelFacts, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "model": name,
        "modified_at": _MODIFIED,
        "size": facts.num_bytes,
        "digest": "",
        "details": _details(facts),
    }


def _details(facts: ModelFacts) -> dict[str, Any]:
    millions = (facts.num_parameters or 0) / 1e6
    return {
        "parent_model": "",
        "format": "safetensors",
        "family": "incoder",
        "families": ["incoder"],
        "parameter_size": f"{millions:.0f}M" if millions < 1000 else f"{millions / 1000:.1f}B",
        "quantization_level": "",
    }


def _route(
    method: Literal["GET", "POST"],
    path: str,
    handler: Handler,
    summary: str,
    body: dict[str, Any] | None = None,
) -> Route:
    return Route(
        method=method,
        path=path,
        handler=handler,
        dialect="ollama",
        summary=summary,
        error=ollama_error,
        body=body,
    )


_SHOW_SCHEMA = {"type": "object", "properties": {"model": {"type": ["string", "null"]}}}

ROUTES = (
    _route("GET", "/api/tags", tags, "The models by name, with aliases for other families' markers."),
    _route("GET", "/api/ps", running, "The models that are loaded."),
    _route("POST", "/api/show", show, "What a model can do.", _SHOW_SCHEMA),
    _route("GET", "/api/version", version, "The version of Ollama's interface."),
)
