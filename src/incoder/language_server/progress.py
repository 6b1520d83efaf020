"""Work that the editor shows while it runs, and can cancel."""

import asyncio
import secrets
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lsprotocol import types

if TYPE_CHECKING:
    from incoder.language_server.server import Server

T = TypeVar("T")


async def with_progress(
    server: "Server",
    title: str,
    work: Coroutine[Any, Any, T],
    *,
    token: types.ProgressToken | None = None,
) -> T:
    """Do the work, shown under this title; it is cancelled by the editor's button, or with its request.

    `token` is the request's `workDoneToken`. Without one, the editor is asked for one if it shows any.

    Raises:
        asyncio.CancelledError: the user has cancelled the work.
    """
    doing = asyncio.create_task(work)
    if token is None:
        token = await _new_token(server)
    if token is None:
        return await doing
    progress = server.work_done_progress
    progress.tokens[token] = cast("Future[Any]", doing)  # pygls cancels it when the user does
    progress.begin(token, types.WorkDoneProgressBegin(title=title, cancellable=True))
    try:
        return await doing
    finally:
        doing.cancel()
        progress.tokens.pop(token, None)
        progress.end(token, types.WorkDoneProgressEnd())


async def _new_token(server: "Server") -> str | None:
    window = server.client_capabilities.window
    if window is None or not window.work_done_progress:
        return None
    token = secrets.token_hex(8)
    await server.work_done_progress.create_async(token)
    return token
