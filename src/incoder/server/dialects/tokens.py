"""POST /tokenize and /detokenize, GET /tokenizer_info: as vLLM has them and lm-evaluation-harness asks them.

llama.cpp's clients call the text of /tokenize `content`, vLLM's `prompt`; both are read, and /detokenize
answers with both names.
"""

from starlette.responses import Response

from incoder.server.exchange import Exchange
from incoder.server.models.served_model import LoadedModel
from incoder.server.request_error import RequestError
from incoder.server.route import Route
from incoder.tokenizer.text_tokenizer import TextTokenizer

_MAX_TOKENS = 1_000_000


async def tokenize(exchange: Exchange) -> Response:
    """Answer POST /tokenize. A text that is exactly a special token's name is that token."""
    body = await exchange.fields()
    text = body.required_text("content" if "content" in body else "prompt")
    name = exchange.server.models.find(body.text("model", "")).facts
    async with exchange.server.models.use(name.name) as model:
        tokenizer = tokenizer_of(model)
        special = tokenizer.special_ids.get(text)
        ids = await exchange.in_thread(lambda: tokenizer.encode(text)) if special is None else [special]
    if body.switch("add_special", False):
        ids = [*(tokenizer.start_ids or ()), *ids]
    if body.switch("with_pieces", False):
        pieces = [{"id": one, "piece": _piece(tokenizer, one)} for one in ids]
        return exchange.answer({"tokens": pieces})
    return exchange.answer({"tokens": ids, "count": len(ids), "max_model_len": name.context_length})


async def detokenize(exchange: Exchange) -> Response:
    """Answer POST /detokenize."""
    body = await exchange.fields()
    prompts = body.prompts("tokens")
    ids = [one for one in (prompts[0] if prompts else ()) if isinstance(one, int)]
    if len(prompts) > 1 or (prompts and len(ids) != len(prompts[0])) or len(ids) > _MAX_TOKENS:
        raise body.error("tokens", f"must be a list of at most {_MAX_TOKENS} token ids")
    facts = exchange.server.models.find(body.text("model", "")).facts
    async with exchange.server.models.use(facts.name) as model:
        tokenizer = tokenizer_of(model)
        for one in ids:
            if one >= tokenizer.vocab_size:
                raise body.error("tokens", f"must be less than {tokenizer.vocab_size}, got {one}")
        text = await exchange.in_thread(lambda: tokenizer.decode(ids))
    return exchange.answer({"content": text, "prompt": text})


async def tokenizer_info(exchange: Exchange) -> Response:
    """Answer GET /tokenizer_info: the names of the tokens that begin and end a document."""
    facts = exchange.server.models.default.facts
    async with exchange.server.models.use(facts.name) as model:
        tokenizer = tokenizer_of(model)
        names = {token_id: name for name, token_id in tokenizer.special_ids.items()}
        first = next(iter(tokenizer.start_ids or ()), None)
        start = names.get(first) if first is not None else None
        end = start or next(iter(tokenizer.special_ids), None)
        return exchange.answer(
            {
                "tokenizer_class": "IncoderTokenizer",
                "vocab_size": tokenizer.vocab_size,
                "model_max_length": facts.context_length,
                "bos_token": start,
                "eos_token": end,
                "pad_token": end,
                "chat_template": None,
            }
        )


def tokenizer_of(model: LoadedModel) -> TextTokenizer:
    """Return the tokenizer of a model.

    Raises:
        RequestError: only the model's upstream has it.
    """
    if model.tokenizer is None:
        raise RequestError(501, "this server knows no tokenizer of its upstream", "not_supported_error")
    return model.tokenizer


def _piece(tokenizer: TextTokenizer, token_id: int) -> str | list[int]:
    """Return a token's text, or its bytes if they are no whole characters, as llama.cpp does."""
    data = tokenizer.token_bytes(token_id)
    if not data:
        return next((name for name, one in tokenizer.special_ids.items() if one == token_id), "")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return list(data)


ROUTES = (
    Route(
        method="POST",
        path="/tokenize",
        handler=tokenize,
        dialect="openai",
        summary="The token ids of a text.",
        body={
            "type": "object",
            "required": ["prompt"],
            "properties": {"prompt": {"type": "string"}, "with_pieces": {"type": ["boolean", "null"]}},
        },
    ),
    Route(
        method="POST",
        path="/detokenize",
        handler=detokenize,
        dialect="openai",
        summary="The text of token ids.",
        body={
            "type": "object",
            "required": ["tokens"],
            "properties": {"tokens": {"type": "array", "items": {"type": "integer", "minimum": 0}}},
        },
    ),
    Route(
        method="GET",
        path="/tokenizer_info",
        handler=tokenizer_info,
        dialect="openai",
        summary="The tokens that begin and end a document.",
    ),
)
