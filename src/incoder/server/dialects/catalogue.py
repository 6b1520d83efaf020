"""All routes of the server."""

from incoder.server.dialects import health, openai
from incoder.server.route import Route

ROUTES: tuple[Route, ...] = (*health.ROUTES, *openai.ROUTES)
