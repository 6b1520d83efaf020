"""The pages of the server: the playground at /, and /docs. Neither loads anything from elsewhere."""

from incoder.server.pages import docs, playground

ROUTES = (*docs.ROUTES, *playground.ROUTES)
