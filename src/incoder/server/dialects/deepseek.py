"""DeepSeek's POST /beta/completions: OpenAI's completions with a suffix, under another path."""

from dataclasses import replace

from starlette.responses import Response

from incoder.server.dialects.openai import BODY_SCHEMA, read
from incoder.server.exchange import Exchange
from incoder.server.route import Route


async def completions(exchange: Exchange) -> Response:
    """Answer POST /beta/completions. Clients name DeepSeek's models, so an unknown one is the default."""
    return await exchange.generate(replace(read(await exchange.fields()), any_model=True))


ROUTES = (
    Route(
        method="POST",
        path="/beta/completions",
        handler=completions,
        dialect="deepseek",
        summary="Fill the hole between prompt and suffix, as DeepSeek does.",
        body=BODY_SCHEMA,
        streams="text/event-stream",
    ),
)
