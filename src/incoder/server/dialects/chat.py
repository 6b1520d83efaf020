"""POST /v1/chat/completions for prompts that ask for an infill. InCoder's models do not chat.

marimo writes a model family's markers into the last user message, and notebook-intelligence writes tags
around the code. Nothing else is answered. In a chat every family's markers count, whatever the model is
called: nothing else can be meant here.
"""

import re
from collections.abc import Sequence
from pathlib import PurePath

from starlette.responses import Response

from incoder.request import InfillRequest, PromptOptions
from incoder.server.call import Call
from incoder.server.dialects.chat_answers import ChatStream, ChatWriter
from incoder.server.dialects.markers import FAMILY_NAMES, request_with_hole, split_alias
from incoder.server.dialects.openai_fields import SAMPLING_SCHEMA, read_sampling, read_seed
from incoder.server.exchange import Exchange
from incoder.server.fields import Fields
from incoder.server.request_error import openai_error
from incoder.server.route import Route

_DEFAULT_MAX_TOKENS = 256
_MAX_MESSAGES = 256
_MAX_PARTS = 64

_CURSOR = "</PREFIX><CURSOR/><SUFFIX>"
_ACTIVE_FILE = re.compile(r"the active file is (\S.*?)\.?\n")
_REFUSAL = (
    "must end with a message of the user that marks a hole, such as "
    "<|fim_prefix|>def f():<|fim_suffix|><|fim_middle|>; this server fills holes in code and does not chat"
)


async def chat_completions(exchange: Exchange) -> Response:
    """Answer POST /v1/chat/completions."""
    return await exchange.generate(read(await exchange.fields()))


def read(body: Fields) -> Call:
    """Return the call of a chat that asks for an infill.

    Raises:
        FieldError: the last message marks no hole, or a field is of the wrong kind or outside of its range.

    >>> message = {"role": "user", "content": "<|fim_prefix|>x = <|fim_suffix|>\\n<|fim_middle|>"}
    >>> read(Fields({"messages": [message]})).requests[0].parts
    ('x = ', '\\n')
    """
    content = _last_message(body)
    request = _tagged(content) or request_with_hole(InfillRequest(parts=(content,)), FAMILY_NAMES)
    if request is None:
        raise body.error("messages", _REFUSAL)
    if body.has_effect("tools") or body.has_effect("functions"):
        raise body.error("tools", "must be left out: this server fills holes in code and calls no tools")
    if body.whole("n", 1, 1, 2**31) != 1:
        raise body.error("n", "must be 1 in a chat; /v1/completions returns several choices")
    _, model = split_alias(body.text("model", ""))
    has_usage = body.nested("stream_options").switch("include_usage", False)
    seed = read_seed(body)
    return Call(
        requests=[
            InfillRequest(
                parts=request.parts, prompt=request.prompt, sampling=read_sampling(body, _DEFAULT_MAX_TOKENS)
            )
        ],
        write=ChatWriter(fenced if _CURSOR in content else str).answer,
        stream=ChatStream(openai_error, has_usage) if body.switch("stream", False) else None,
        framing="sse-done",
        model=model,
        any_model=True,
        has_seed=seed is not None,
    )


def fenced(infill: str) -> str:
    """Return an infill as notebook-intelligence reads it: it takes what is in backticks, if there are any.

    >>> fenced("x = 1"), fenced("# `x`")
    ('x = 1', '```\\n# `x````')
    """
    return f"```\n{infill}```" if "`" in infill else infill


def _last_message(body: Fields) -> str:
    """Return the text of the last message, which must be the user's."""
    messages = body.nested_list("messages", _MAX_MESSAGES)
    if not messages:
        raise body.error("messages", "is required, and must be a list of messages")
    last = messages[-1]
    if last.text("role", "user") != "user":
        raise body.error("messages", _REFUSAL)
    if not last.is_list("content"):
        return last.text("content", "")
    parts: Sequence[Fields] = last.nested_list("content", _MAX_PARTS)
    return "".join(part.text("text", "") for part in parts)


def _tagged(content: str) -> InfillRequest | None:
    """Return the infill that notebook-intelligence asks for, None for another message."""
    introduction, tag, code = content.partition("<PREFIX>")
    code, closing_tag, _ = code.rpartition("</SUFFIX>")
    if not tag or not closing_tag or code.count(_CURSOR) != 1:
        return None
    prefix, _, suffix = code.partition(_CURSOR)
    file = _ACTIVE_FILE.search(introduction)
    path = None if file is None else PurePath(file[1])
    return InfillRequest(parts=(prefix, suffix), prompt=PromptOptions(path=path))


_TEXT = {"type": ["string", "null"]}

BODY_SCHEMA = {
    "type": "object",
    "required": ["messages"],
    "properties": {
        **SAMPLING_SCHEMA,
        "model": _TEXT,
        "messages": {
            "type": "array",
            "minItems": 1,
            "maxItems": _MAX_MESSAGES,
            "items": {
                "type": "object",
                "required": ["role", "content"],
                "properties": {"role": {"enum": ["system", "user", "assistant"]}, "content": _TEXT},
            },
        },
    },
}

ROUTES = (
    Route(
        method="POST",
        path="/v1/chat/completions",
        handler=chat_completions,
        dialect="chat",
        summary="Fill the hole that the last message marks. Other chats are refused.",
        body=BODY_SCHEMA,
        streams="text/event-stream",
    ),
)
