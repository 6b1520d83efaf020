"""The ASGI application: the routes of all dialects, errors in their shapes, and the guard before them."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from incoder import __version__
from incoder.errors import IncoderError
from incoder.server.exchange import Exchange, json_response
from incoder.server.leases import Leases
from incoder.server.models.served_model import ModelSource, Note
from incoder.server.models.served_models import ServedModels
from incoder.server.request_error import ErrorShape, RequestError, as_request_error, openai_error
from incoder.server.route import Route
from incoder.server.security.guard import Guard
from incoder.server.server import SHUTDOWN_SECONDS, Server
from incoder.server.settings import ServerSettings

logger = logging.getLogger("incoder.server")


def create_app(
    settings: ServerSettings,
    sources: Sequence[ModelSource],
    routes: Sequence[Route] | None = None,
    *,
    max_model_bytes: int | None = None,
    note: Note = lambda _: None,
    on_ready: Callable[[], None] = lambda: None,
    on_failure: Callable[[Exception], None] = lambda _: None,
    leases: Leases | None = None,
) -> ASGIApp:
    """Return the application that serves these models, the first one being the default.

    The default model is loaded as soon as the application has started, and requests wait for it; then
    `on_ready` is called, or `on_failure` if it cannot be loaded. `routes` are by default the routes
    of all dialects. `leases` count the clients that need this server.
    """
    if routes is None:
        from incoder.server.dialects.catalogue import ROUTES

        routes = ROUTES
    state: dict[str, Server] = {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        models = ServedModels(
            sources, max_bytes=max_model_bytes, idle_seconds=settings.idle_unload, note=note
        )
        server = state["server"] = Server(settings, models, leases or Leases())
        server.leases.start()

        async def start() -> None:
            try:
                await models.start()
            except Exception as error:  # noqa: BLE001 - the caller decides what to do
                on_failure(error)
            else:
                on_ready()

        starting = asyncio.create_task(start())
        yield
        await server.jobs.close(SHUTDOWN_SECONDS)
        starting.cancel()
        await models.close()

    app = FastAPI(
        title="InCoder",
        version=__version__,
        summary="Code infilling in the dialects of many clients.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    shapes: dict[str, ErrorShape] = {route.path: route.error for route in routes}
    for route in routes:
        app.add_api_route(
            route.path,
            _endpoint(route, lambda: state["server"]),
            methods=[route.method],
            summary=route.summary,
            tags=[route.dialect],
            operation_id=f"{route.method.lower()}{route.path.replace('/', '_')}",
            openapi_extra=_openapi(route),
            include_in_schema=route.is_listed,
            response_class=Response,
            response_model=None,
        )

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> Response:
        path = request.scope["path"]
        message = f"there is no route {request.method} here; GET /docs lists the routes"
        return _error_response(RequestError(error.status_code, message), shapes.get(path, openai_error))

    public = frozenset(route.path for route in routes if route.is_public)
    return Guard(app, settings, public, shapes)


def _endpoint(route: Route, server: Callable[[], Server]) -> Callable[[Request], Awaitable[Response]]:
    """Return the function that FastAPI calls for a route."""

    async def endpoint(request: Request) -> Response:
        exchange = Exchange(request, route, server())
        try:
            response = await route.handler(exchange)
        except (RequestError, IncoderError) as error:
            refused = as_request_error(error)
            response = _error_response(refused, route.error)
        except Exception as error:  # noqa: BLE001 - one bad request must not end the others
            log_failure(exchange.id, error)
            response = _error_response(as_request_error(error), route.error)
        exchange.server.metrics.requests.labels(route.dialect, outcome(response.status_code)).inc()
        response.headers["x-request-id"] = exchange.id
        return response

    return endpoint


def log_failure(request_id: str, error: BaseException) -> None:
    """Log where an exception was raised, without its message, which may quote the user's code."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("request %s failed with %s\n%s", request_id, type(error).__name__, frames)


def outcome(status: int) -> str:
    """Return the word for a status in metrics.

    >>> outcome(200), outcome(499), outcome(429)
    ('ok', 'cancelled', 'refused')
    """
    if status < 400:
        return "ok"
    return "cancelled" if status in (409, 499) else "refused" if status < 500 else "failed"


def _error_response(error: RequestError, shape: ErrorShape) -> Response:
    headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    return json_response(shape(error), status=error.status, headers=headers)


def _openapi(route: Route) -> dict[str, Any]:
    """Return the schemas that FastAPI cannot derive, because handlers read bodies raw."""
    content: dict[str, Any] = {"application/json": {"schema": dict(route.answer)}}
    if route.streams is not None:
        content[route.streams] = {"schema": {"type": "string"}}
    described: dict[str, Any] = {"responses": {"200": {"description": "The answer.", "content": content}}}
    if route.body is not None:
        body = {"application/json": {"schema": dict(route.body)}}
        described["requestBody"] = {"required": True, "content": body}
    return described
