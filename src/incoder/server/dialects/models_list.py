"""GET /v1/models: the models of this server, and what each can do. Neither route loads a model."""

from typing import Any

from starlette.responses import Response

from incoder.server.exchange import Exchange
from incoder.server.models.served_model import ModelFacts
from incoder.server.route import Route

_CREATED = 1_767_225_600  # 2026-01-01; clients need a number, and a model's files may have any date


async def models(exchange: Exchange) -> Response:
    """Answer GET /v1/models."""
    served = exchange.server.models
    listed = [described(source.facts, served.is_loaded(source.facts.name)) for source in served.sources]
    return exchange.answer({"object": "list", "data": listed})


async def model(exchange: Exchange) -> Response:
    """Answer GET /v1/models/NAME."""
    served = exchange.server.models
    facts = served.find(exchange.request.path_params["name"]).facts
    return exchange.answer(described(facts, served.is_loaded(facts.name)))


def described(facts: ModelFacts, is_loaded: bool) -> dict[str, Any]:
    """Return a model as OpenAI lists it, with its context length as vLLM does, and with its capabilities.

    >>> facts = ModelFacts(
    ...     name="mini", context_length=2048, vocab_size=8192, infilling_format="causal-masking",
    ...     max_num_holes=256,
    ... )
    >>> described(facts, True)["capabilities"]["infill"]
    True
    """
    return {
        "id": facts.name,
        "object": "model",
        "created": _CREATED,
        "owned_by": "incoder",
        "max_model_len": facts.context_length,
        "is_loaded": is_loaded,
        "capabilities": {
            "completion": True,
            "infill": facts.max_num_holes > 0,
            "max_num_holes": facts.max_num_holes,
            "infilling_format": facts.infilling_format,
            "chat": False,
        },
    }


ROUTES = (
    Route(
        method="GET",
        path="/v1/models",
        handler=models,
        dialect="openai",
        summary="The models, and what each can do.",
    ),
    Route(
        method="GET",
        path="/v1/models/{name:path}",
        handler=model,
        dialect="openai",
        summary="One model.",
    ),
)
