"""POST /v1/infill/prompt: the tokens that the model would read before the first infill, and no infill."""

from typing import Any

from starlette.responses import Response

from incoder.server.dialects import infill
from incoder.server.dialects.markers import under_alias
from incoder.server.dialects.tokens import tokenizer_of
from incoder.server.exchange import Exchange
from incoder.server.limits import checked
from incoder.server.route import Route
from incoder.tokenizer.text_tokenizer import TextTokenizer


async def prompt(exchange: Exchange) -> Response:
    """Answer POST /v1/infill/prompt. Its body is that of /v1/infill."""
    call = under_alias(infill.read(await exchange.fields()))
    (request,) = checked(call.requests, exchange.server.settings)
    facts = exchange.server.models.find(call.model).facts
    async with exchange.server.models.use(facts.name) as model:
        tokenizer = tokenizer_of(model)
        shown = await exchange.in_thread(lambda: model.shown_prompt(request))
    return exchange.answer(
        {
            "object": "infill.prompt",
            "model": facts.name,
            "infilling_format": facts.infilling_format,
            "tokens": named_tokens(shown.token_ids, tokenizer),
            "required_prefix": shown.required_prefix,
            "other_files_used": list(shown.other_files),
            "max_model_len": facts.context_length,
        }
    )


def named_tokens(token_ids: tuple[int, ...], tokenizer: TextTokenizer) -> list[dict[str, Any]]:
    """Return each token with its text. A special token's text is its name; part of a character is U+FFFD.

    >>> named_tokens((2,), model.tokenizer)
    [{'id': 2, 'text': '<|endoftext|>', 'is_special': True}]
    """
    names = {token_id: name for name, token_id in tokenizer.special_ids.items()}
    return [
        {
            "id": one,
            "text": names.get(one) or tokenizer.token_bytes(one).decode("utf-8", "replace"),
            "is_special": one in names,
        }
        for one in token_ids
    ]


ROUTES = (
    Route(
        method="POST",
        path="/v1/infill/prompt",
        handler=prompt,
        dialect="infill",
        summary="The tokens that the model would read before the first infill.",
        body=infill.BODY_SCHEMA,
    ),
)
