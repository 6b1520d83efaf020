"""The web pages that may call: our own, and pages whose origin the operator has named.

A browser sends a page's origin with every request that is not a plain GET. Without this check, any page could
make the server compute: a simple request needs no permission, only reading its answer does.
"""

from collections.abc import Collection

from starlette.types import Scope

from incoder.server.request_error import RequestError
from incoder.server.security.headers import header_values


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
