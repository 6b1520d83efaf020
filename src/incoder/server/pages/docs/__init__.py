"""GET /docs: a page with all routes, made in the browser from /openapi.json, and from nothing elsewhere."""

from importlib.resources import files

from starlette.responses import Response

from incoder.server.exchange import Exchange
from incoder.server.route import Handler, Route

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'"
)


def _page(name: str, media_type: str) -> Handler:
    async def page(_: Exchange) -> Response:
        content = files(__name__).joinpath(name).read_bytes()
        return Response(content, media_type=media_type, headers={"content-security-policy": _POLICY})

    return page


def _route(path: str, name: str, media_type: str, summary: str) -> Route:
    return Route(
        method="GET",
        path=path,
        handler=_page(name, media_type),
        dialect="docs",
        summary=summary,
        is_listed=False,
    )


ROUTES = (
    _route("/docs", "docs.html", "text/html", "This page."),
    _route("/docs/docs.js", "docs.js", "text/javascript", "Its script."),
    _route("/docs/docs.css", "docs.css", "text/css", "Its style."),
)
