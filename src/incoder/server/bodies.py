"""Request bodies, read within a bound and a time."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from incoder.server.request_error import CLIENT_GONE, RequestError

_MAX_DRAINED = 256_000_000  # bytes read and dropped after a body was refused, so that its client sees why


async def read_body(request: Request, max_bytes: int, seconds: float) -> bytes:
    """Return the whole body.

    Raises:
        RequestError: 413 if it is larger than `max_bytes`, 408 if it takes longer than `seconds`, 499 if the
            client leaves before it is complete.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _read(request, max_bytes)
    except TimeoutError:
        raise RequestError(
            408, f"the body did not arrive within {seconds:g} seconds", "timeout_error"
        ) from None
    except ClientDisconnect:
        raise RequestError(CLIENT_GONE, "the client left before its body was complete") from None


async def _read(request: Request, max_bytes: int) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size <= max_bytes:
            pieces.append(piece)
        elif size > _MAX_DRAINED:
            break
        else:
            pieces.clear()
    if size > max_bytes:
        raise RequestError(
            413, f"the body must have at most {max_bytes} bytes; send less of the files around the hole"
        )
    return b"".join(pieces)
