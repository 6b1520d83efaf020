"""POST /v1/project, our own: bring the project memory of a folder up to date, for requests that name it.

Language servers send it when a workspace is opened and after its files were saved.
"""

import asyncio
from pathlib import Path

from starlette.responses import Response

from incoder.server.exchange import Exchange
from incoder.server.jobs import watch_client
from incoder.server.models.served_model import LoadedModel
from incoder.server.request_error import RequestError
from incoder.server.route import Route


async def refresh(exchange: Exchange) -> Response:
    """Answer POST /v1/project when the memory of the folder is up to date."""
    body, server = await exchange.fields(), exchange.server
    project = Path(body.required_text("project"))
    if not server.settings.allows_project(project):
        raise RequestError(400, "this server may not read that project; start it with --project DIR")
    if not project.is_absolute() or not project.is_dir():
        raise RequestError(400, "project must be the absolute path of a folder")
    name = server.models.find(body.text("model", "")).facts.name

    async def work(model: LoadedModel) -> None:
        await exchange.in_thread(lambda: model.refresh_project(project))

    job = server.jobs.start(name, work)
    watcher = asyncio.create_task(watch_client(exchange.request, job))
    try:
        await job.result()
    finally:
        watcher.cancel()
    return exchange.answer({"project": str(project), "model": name})


ROUTES = (
    Route(
        method="POST",
        path="/v1/project",
        handler=refresh,
        dialect="project",
        summary="Bring the project memory of a folder up to date.",
        body={
            "type": "object",
            "required": ["project"],
            "properties": {"project": {"type": "string"}, "model": {"type": ["string", "null"]}},
        },
    ),
)
