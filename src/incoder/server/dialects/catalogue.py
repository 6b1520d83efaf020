"""All routes of the server."""

from incoder.server.dialects import edit, health, infill, models_list, openai, tokens
from incoder.server.pages import ROUTES as PAGES
from incoder.server.route import Route

ROUTES: tuple[Route, ...] = (
    *health.ROUTES,
    *openai.ROUTES,
    *models_list.ROUTES,
    *tokens.ROUTES,
    *infill.ROUTES,
    *edit.ROUTES,
    *PAGES,
)
