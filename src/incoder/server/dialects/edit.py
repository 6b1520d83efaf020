"""POST /v1/edit/{docstring,types,rename,fix,edit}: the editing tools, on the text of one file.

Each returns the new text and all candidates, as `incoder TOOL --json` does. Nothing is written to any file.
The tools are synchronous: each runs in a thread of its own, and ends when its client leaves.
"""

from typing import Any

from starlette.responses import Response

from incoder.server.editing import tools
from incoder.server.editing.running import run_tool
from incoder.server.exchange import Exchange
from incoder.server.route import Handler, Route

_TEXT: dict[str, Any] = {
    "text": {"type": "string"},
    "path": {"type": ["string", "null"]},
    "model": {"type": ["string", "null"]},
    "lines": {"type": ["string", "null"], "pattern": "^[0-9]{1,7}(:[0-9]{1,7})?$"},
    "function": {"type": ["string", "null"]},
    "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 100},
    "num_candidates": {"type": ["integer", "null"], "minimum": 1, "maximum": 16},
    "max_new_tokens": {"type": ["integer", "null"], "minimum": 1, "maximum": 2**31},
    "seed": {"type": ["integer", "null"], "minimum": 0, "maximum": 2**63 - 1},
}


def _handler(tool: tools.Tool) -> Handler:
    async def edit(exchange: Exchange) -> Response:
        return exchange.answer(await run_tool(exchange, tool, await exchange.fields()))

    return edit


def _route(
    verb: str, tool: tools.Tool, summary: str, required: list[str], fields: dict[str, Any] | None = None
) -> Route:
    return Route(
        method="POST",
        path=f"/v1/edit/{verb}",
        handler=_handler(tool),
        dialect="edit",
        summary=summary,
        body={"type": "object", "required": required, "properties": {**_TEXT, **(fields or {})}},
    )


ROUTES = (
    _route("docstring", tools.docstring, "Write missing docstrings of a Python file.", ["text"]),
    _route(
        "types",
        tools.types,
        "Write missing annotations of a Python file.",
        ["text"],
        {"check": {"type": ["boolean", "null"]}},
    ),
    _route(
        "rename",
        tools.rename,
        "Rename a variable of a Python file everywhere in it.",
        ["text", "name"],
        {
            "name": {"type": "string"},
            "to": {"type": ["string", "null"]},
            "force": {"type": ["boolean", "null"]},
            "other_files": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
        },
    ),
    _route(
        "fix",
        tools.fix,
        "Rewrite the given or the most suspicious lines.",
        ["text"],
        {"test": {"type": ["string", "null"]}},
    ),
    _route(
        "edit",
        tools.edit,
        "Rewrite lines as a comment asks.",
        ["text", "comment"],
        {"comment": {"type": "string"}, "keep_comment": {"type": ["boolean", "null"]}},
    ),
)
