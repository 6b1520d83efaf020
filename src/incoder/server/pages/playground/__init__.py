"""GET /: the playground, a page on which a visitor puts holes into code and sees how a model fills them.

The files beside this one are built from playground/ in the repository (`npm run build`). They are public: a
browser sends no key when it opens a page. The page itself asks for the key where the server has one.
"""

import hashlib
import secrets
from importlib.resources import files

from starlette.responses import Response

from incoder.server.exchange import Exchange
from incoder.server.route import Handler, Route

# Styles need the nonce, because the editor makes style sheets while it runs; scripts come from files only.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


async def page(_: Exchange) -> Response:
    """Answer GET / with the page, which has a new nonce each time."""
    nonce = secrets.token_urlsafe(16)
    text = files(__name__).joinpath("index.html").read_text(encoding="utf-8")
    return Response(
        text.replace("{nonce}", nonce),
        media_type="text/html",
        headers={
            "cache-control": "no-store",
            "content-security-policy": _POLICY.format(nonce=nonce),
            "cross-origin-opener-policy": "same-origin",
            "referrer-policy": "no-referrer",
        },
    )


def _file(name: str, media_type: str) -> Route:
    return Route(
        method="GET",
        path=f"/playground/{name}",
        handler=_handler(name, media_type),
        dialect="playground",
        summary=f"The playground's {name}.",
        is_public=True,
        is_listed=False,
    )


def _handler(name: str, media_type: str) -> Handler:
    async def file(exchange: Exchange) -> Response:
        """Answer with a file, or say that the browser's copy of it is still the same."""
        content = files(__name__).joinpath(name).read_bytes()
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"cache-control": "no-cache", "etag": tag}
        if exchange.request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return file


ROUTES = (
    Route(
        method="GET",
        path="/",
        handler=page,
        dialect="playground",
        summary="The playground.",
        is_public=True,
        is_listed=False,
    ),
    _file("playground.js", "text/javascript"),
    _file("playground.css", "text/css"),
    _file("icon.svg", "image/svg+xml"),
    _file("LICENCES.txt", "text/plain"),
)
