"""GET /health and /metrics. Neither wakes a model."""

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from incoder.server.exchange import Exchange
from incoder.server.request_error import RequestError
from incoder.server.route import Route


async def health(exchange: Exchange) -> Response:
    """Say whether the server answers requests: 503 until its first model is loaded."""
    if not exchange.server.models.is_ready:
        raise RequestError(503, "Loading model", "unavailable_error", retry_after=1)
    return exchange.answer({"status": "ok"})


async def metrics(exchange: Exchange) -> Response:
    """Return the counters in Prometheus's text format."""
    return Response(exchange.server.metrics.page(), media_type=CONTENT_TYPE_LATEST)


ROUTES = (
    Route(
        method="GET",
        path="/health",
        handler=health,
        dialect="health",
        summary="Whether the server is ready.",
        is_public=True,
    ),
    Route(
        method="GET", path="/metrics", handler=metrics, dialect="metrics", summary="Counters for Prometheus."
    ),
)
