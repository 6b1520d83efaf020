"""OpenAI's POST /v1/completions, with `suffix`.

`prompt` is a text, a list of token ids, or a list of either. With a `suffix`, the hole between both is
filled; without one, the prompt is continued. What a body leaves out is as `InfillRequest` has it, so the
default temperature is not OpenAI's.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.responses import Response

from incoder import __version__
from incoder.request import InfillRequest, PromptOptions
from incoder.results import Candidate, InfillResult, TextPiece
from incoder.server.call import Answer, Call
from incoder.server.dialects.openai_fields import SAMPLING_SCHEMA, read_sampling, read_seed
from incoder.server.dialects.openai_logprobs import logprobs_of
from incoder.server.exchange import Exchange
from incoder.server.fields import Fields, Prompt
from incoder.server.request_error import JSON, RequestError, openai_error
from incoder.server.route import Route

FINGERPRINT = f"b{__version__}-incoder"  # clients of llama.cpp look for the b
_DEFAULT_MAX_TOKENS = 16  # OpenAI's
_DEFAULT_INFILL_TOKENS = 128  # of a body with a suffix: an editor that names no limit means a suggestion
_MAX_LOGPROBS = 100
_MAX_CANDIDATES = 1024


async def completions(exchange: Exchange) -> Response:
    """Answer POST /v1/completions."""
    return await exchange.generate(read(await exchange.fields()))


def read(body: Fields) -> Call:
    """Return the call that a body means.

    Raises:
        FieldError: a field of the wrong kind or outside of its range.

    >>> call = read(Fields({"prompt": "x = ", "suffix": "\\n", "n": 2}))
    >>> call.requests[0].parts, call.requests[0].num_candidates
    (('x = ', '\\n'), 2)
    """
    suffix = body.text("suffix", None) or None
    logprobs = body.whole("logprobs", None, 0, _MAX_LOGPROBS)
    sampling = read_sampling(body, _DEFAULT_INFILL_TOKENS if suffix else _DEFAULT_MAX_TOKENS)
    num_choices = body.whole("n", 1, 1, _MAX_CANDIDATES)
    best_of = max(num_choices, body.whole("best_of", num_choices, 1, _MAX_CANDIDATES))
    echo = body.switch("echo", False)
    template = InfillRequest(
        sampling=sampling,
        # With token healing, the first token would begin before the text that its log-probability is for.
        prompt=PromptOptions(token_healing=logprobs is None),
        num_candidates=best_of,
        rank_by="none",
        num_alternatives=logprobs or 0,
        echo=echo and logprobs is not None,
    )
    prompts = body.prompts("prompt") if "prompt" in body else (("",),)  # OpenAI's default: a new document
    if not prompts:
        raise body.error("prompt", "must have a prompt, got an empty list")
    requests = [_request(body, template, one, suffix) for one in prompts]
    writer = _Writer(
        requests,
        num_choices,
        echo=echo,
        has_logprobs=logprobs is not None,
        is_empty=body.whole("max_tokens", None, 0, 2**31) == 0,
    )
    stream = None
    if body.switch("stream", False):
        if best_of > num_choices:
            raise body.error("best_of", "must be n in a stream, whose text is sent before it can be ranked")
        if echo and any(request.prompt_ids is not None for request in requests):
            raise body.error("echo", "must be false in a stream of a prompt of token ids")
        stream = _Stream(writer, has_usage=body.nested("stream_options").switch("include_usage", False))
    return Call(
        requests=requests,
        write=writer.answer,
        stream=stream,
        framing="sse-done",
        model=body.text("model", ""),
        has_seed=read_seed(body) is not None,
    )


def _request(body: Fields, template: InfillRequest, prompt: Prompt, suffix: str | None) -> InfillRequest:
    ids = tuple(one for one in prompt if isinstance(one, int))
    if not ids:
        text = "".join(map(str, prompt))
        return replace(template, parts=(text,) if suffix is None else (text, suffix))
    if len(ids) < len(prompt):
        raise body.error("prompt", "must not mix texts and token ids in one prompt")
    if suffix is not None:
        raise body.error("suffix", "must be left out with a prompt of token ids")
    return replace(template, prompt_ids=ids)


def usage(answer: Answer) -> dict[str, Any]:
    """Return OpenAI's `usage`, with the tokens found in the cache."""
    return {
        "prompt_tokens": answer.num_prompt_tokens,
        "completion_tokens": answer.num_completion_tokens,
        "total_tokens": answer.num_prompt_tokens + answer.num_completion_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.num_cached_tokens},
    }


def finish_reason(candidate: Candidate) -> str:
    """Return OpenAI's word for the end of a candidate's last infill."""
    return "stop" if candidate.finish_reasons[-1] in ("end", "stop") else "length"


def head(answer: Answer, kind: str) -> dict[str, Any]:
    """Return the fields that begin every object of OpenAI's."""
    return {
        "id": f"cmpl-{answer.id}",
        "object": kind,
        "created": answer.created,
        "model": answer.model,
        "system_fingerprint": FINGERPRINT,
    }


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the choices of the requests; `is_empty` if `max_tokens` is 0."""

    requests: list[InfillRequest]
    num_choices: int
    echo: bool
    has_logprobs: bool
    is_empty: bool

    def answer(self, answer: Answer) -> JSON:
        choices = [
            self.choice(number, result, candidate)
            for number, (result, candidate) in enumerate(self.chosen(answer))
        ]
        return {**head(answer, "text_completion"), "choices": choices, "usage": usage(answer)}

    def chosen(self, answer: Answer) -> Iterable[tuple[InfillResult, Candidate]]:
        """Yield `n` candidates of each request, the most probable ones if more were drawn."""
        for result in answer.results:
            candidates = list(result.candidates)
            if len(candidates) > self.num_choices:
                candidates.sort(key=lambda one: one.logprob, reverse=True)
            for number in range(self.num_choices):
                yield result, candidates[number % len(candidates)]

    def choice(self, number: int, result: InfillResult, candidate: Candidate) -> dict[str, Any]:
        infill = "" if self.is_empty else candidate.infills[0]
        prompt = self.prompt_text(number // self.num_choices, candidate) if self.echo else ""
        return {
            "text": prompt + infill,
            "index": number,
            "logprobs": self.logprobs(result, candidate, len(prompt)),
            "finish_reason": "length" if self.is_empty else finish_reason(candidate),
        }

    def prompt_text(self, index: int, candidate: Candidate | None) -> str:
        """Return the prompt as text, before the hole; that of token ids is known with the candidate."""
        parts = self.requests[index].parts
        if parts:
            return parts[0]
        assert candidate is not None
        return candidate.text.removesuffix(candidate.infills[0])

    def logprobs(self, result: InfillResult, candidate: Candidate, offset: int) -> dict[str, Any] | None:
        if not self.has_logprobs:
            return None
        tokens = [] if self.is_empty else list(candidate.tokens[0])
        if self.echo and result.prompt is not None:
            return logprobs_of([*result.prompt.tokens, *tokens])
        return logprobs_of(tokens, offset)


@dataclass(slots=True)
class _Stream:
    """Writes chunks of text, and at the end of each choice its reason and log-probabilities."""

    writer: _Writer
    has_usage: bool
    _head: dict[str, Any] = field(default_factory=dict)
    _begun: set[int] = field(default_factory=set)

    def start(self, answer: Answer) -> None:
        self._head = head(answer, "text_completion")

    def piece(self, index: int, piece: TextPiece) -> Iterable[JSON]:
        if not self.writer.is_empty:
            number = index * self.writer.num_choices + piece.candidate
            yield self._chunk(number, self._prompt_once(number) + piece.text)

    def end(self, answer: Answer) -> Iterable[JSON]:
        for number, (result, candidate) in enumerate(self.writer.chosen(answer)):
            # A greedy answer is written once, whatever n is.
            is_written = number in self._begun or self.writer.is_empty
            text = "" if is_written else candidate.infills[0]
            prompt = self._prompt_once(number)
            yield self._chunk(
                number,
                prompt + text,
                logprobs=self.writer.logprobs(result, candidate, len(prompt)),
                finish_reason="length" if self.writer.is_empty else finish_reason(candidate),
            )
        if self.has_usage:
            yield {**self._head, "choices": [], "usage": usage(answer)}

    def error(self, error: RequestError) -> JSON:
        return openai_error(error)

    def _prompt_once(self, number: int) -> str:
        is_new = number not in self._begun
        self._begun.add(number)
        if not (is_new and self.writer.echo):
            return ""
        return self.writer.prompt_text(number // self.writer.num_choices, None)

    def _chunk(self, number: int, text: str, **fields: Any) -> JSON:
        choice = {"text": text, "index": number, "logprobs": None, "finish_reason": None, **fields}
        unknown = {"usage": None} if self.has_usage else {}
        return {**self._head, "choices": [choice], **unknown}


_PROMPT_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 8},
        {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
        {
            "type": "array",
            "items": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
            "minItems": 1,
            "maxItems": 8,
        },
        {"type": "null"},
    ]
}

BODY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "model": {"type": ["string", "null"]},
        "prompt": _PROMPT_SCHEMA,
        "suffix": {"type": ["string", "null"]},
        **SAMPLING_SCHEMA,
        "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 16},
        "best_of": {"type": ["integer", "null"], "minimum": 1, "maximum": 16},
        "echo": {"type": ["boolean", "null"]},
        "logprobs": {"type": ["integer", "null"], "minimum": 0, "maximum": _MAX_LOGPROBS},
        "stream_options": {
            "type": ["object", "null"],
            "properties": {"include_usage": {"type": ["boolean", "null"]}},
        },
    },
}

ROUTES = (
    Route(
        method="POST",
        path="/v1/completions",
        handler=completions,
        dialect="openai",
        summary="Complete a prompt, or fill the hole between prompt and suffix.",
        body=BODY_SCHEMA,
        streams="text/event-stream",
    ),
)
