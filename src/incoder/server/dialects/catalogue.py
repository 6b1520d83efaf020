"""All routes of the server."""

from dataclasses import replace

from incoder.server.dialects import (
    chat,
    deepseek,
    edit,
    health,
    infill,
    infill_prompt,
    lease,
    mistral,
    models_list,
    next_edit,
    ollama,
    ollama_models,
    openai,
    project,
    tabby,
    tokens,
)
from incoder.server.dialects.llama_cpp import routes as llama_cpp
from incoder.server.pages import ROUTES as PAGES
from incoder.server.route import Route, chosen_by_field

_OPENAI_OR_TABBY = tuple(
    replace(
        route,
        handler=chosen_by_field("segments", tabby.completions, openai.completions),
        body={
            "type": "object",
            "properties": {**tabby.BODY_SCHEMA["properties"], **openai.BODY_SCHEMA["properties"]},
        },
    )
    for route in openai.ROUTES
)

ROUTES: tuple[Route, ...] = (
    *health.ROUTES,
    *_OPENAI_OR_TABBY,
    *models_list.ROUTES,
    *tokens.ROUTES,
    *infill.ROUTES,
    *infill_prompt.ROUTES,
    *lease.ROUTES,
    *edit.ROUTES,
    *project.ROUTES,
    *next_edit.ROUTES,
    *llama_cpp.ROUTES,
    *mistral.ROUTES,
    *deepseek.ROUTES,
    *chat.ROUTES,
    *ollama.ROUTES,
    *ollama_models.ROUTES,
    *tabby.ROUTES,
    *PAGES,
)
