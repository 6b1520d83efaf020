"""The web pages that may call: our own, and pages whose origin the operator has named.

A browser sends a page's origin with every request that is not a plain GET. Without this check, any page could
make the server compute: a simple request needs no permission, only reading its answer does.
"""

import re
from collections.abc import Collection

from starlette.types import Scope

from incoder.errors import IncoderError, shown
from incoder.server.request_error import RequestError
from incoder.server.security.headers import header_values

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:\d{1,5})?")


def checked_origin(origin: str) -> str:
    """Return an origin as browsers send it: in lower case, without a slash at its end.

    Raises:
        IncoderError: it is no origin, so no browser would ever send it.

    >>> checked_origin("https://Example.org/")
    'https://example.org'
    """
    found = origin.lower().removesuffix("/")
    if _ORIGIN.fullmatch(found) is None:
        raise IncoderError(
            "an origin is a scheme and a host without a path, such as https://example.org or "
            f"http://localhost:3000; got {shown(origin)}"
        )
    return found


def allowed_origin(scope: Scope, named: Collection[str]) -> dict[str, str]:
    """Return the headers that let a named page read the answer; none for our own page and for programs.

    Raises:
        RequestError: the request comes from another page.
    """
    origins = [value.decode("latin-1") for value in header_values(scope, b"origin")]
    if not origins:
        return {}
    host = header_values(scope, b"host")[0].decode("latin-1")
    origin = origins[0].lower()
    if len(origins) == 1 and origin in (f"http://{host.lower()}", f"https://{host.lower()}"):
        return {}
    if len(origins) != 1 or origin not in named:
        raise RequestError(
            403,
            "web pages of that origin may not call this server; allow it with --allow-origin",
            "origin_error",
        )
    return {
        "access-control-allow-origin": origins[0],
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": "authorization, content-type, x-api-key",
        "access-control-max-age": "600",
        "vary": "origin",
    }
