"""Raw headers of a request, as they came."""

from starlette.types import Scope


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """Return all values of a header; `name` is in lower case.

    >>> header_values({"headers": [(b"host", b"localhost")]}, b"host")
    [b'localhost']
    """
    return [value for key, value in scope["headers"] if key == name]
