"""The answers of POST /infill and POST /completion: an object, a list of objects, or a stream of them.

llama.vim looks for `{` and `"content":"` in the raw answer, llama.vscode for `generation_settings.n_ctx`: all
fields that llama.cpp always sends are always there.
"""

import codecs
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from incoder.request import InfillRequest
from incoder.results import Alternative, Candidate, FinishReason, InfillResult, TextPiece, Token, Usage
from incoder.server.call import Answer
from incoder.server.dialects.llama_cpp.errors import llama_error
from incoder.server.dialects.llama_cpp.indentation import IndentGuard, cut_dedented
from incoder.server.request_error import JSON, RequestError

_DRAWN_SEED = 2**32 - 1
_STOP_TYPES: dict[FinishReason, str] = {"end": "eos", "stop": "word", "length": "limit", "time": "limit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a body says about its answer; `num_predict` 0 is a warm-up, a negative one means no limit."""

    num_predict: int
    num_candidates: int = 1
    is_list: bool = False
    least_indent: int = 0
    response_fields: Sequence[str] = ()
    has_tokens: bool = False
    num_probs: int = 0
    has_probabilities: bool = False
    slot: int = 0
    has_seed: bool = False


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the answer to the requests of one body."""

    shape: Shape
    requests: Sequence[InfillRequest]

    def answer(self, answer: Answer) -> JSON:
        """Return the object of the only candidate, or a list; candidates that are equal occur once."""
        objects: list[dict[str, Any]] = []
        for index, result in enumerate(answer.results):
            different: dict[str, Candidate] = {}
            for candidate in result.candidates:
                different.setdefault(self.content(index, candidate), candidate)
            for candidate in different.values():
                written = self.object(answer, index, result, candidate, number=len(objects))
                objects.append(selected(written, self.shape.response_fields))
        return objects if self.shape.is_list else objects[0]

    def content(self, index: int, candidate: Candidate) -> str:
        """Return the text of a candidate of request `index` as the client shall see it."""
        if not self.shape.num_predict:
            return ""
        text = candidate.infills[0]
        if self.shape.least_indent:
            text = cut_dedented(text, self.shape.least_indent)
        is_late = candidate.finish_reasons[0] == "time"
        if is_late and self.requests[index].sampling.decode_time_limit is not None and "\n" in text.strip():
            text = text[: text.rindex("\n") + 1]  # the last line is not finished
        return text

    def object(
        self,
        answer: Answer,
        index: int,
        result: InfillResult,
        candidate: Candidate,
        *,
        number: int,
        content: str | None = None,
    ) -> dict[str, Any]:
        """Return all of a candidate; `content` replaces its text where that was sent before."""
        shape, request = self.shape, self.requests[index]
        text = self.content(index, candidate)
        tokens = [one for one, _ in new_tokens(result, candidate)] if shape.num_predict else []
        reason = candidate.finish_reasons[0]
        is_stopped_early = shape.num_predict != 0 and text != candidate.infills[0]
        word = stop_string(result, candidate, request.sampling.stop) if reason == "stop" else ""
        stop_type = "limit" if is_stopped_early or not shape.num_predict else _STOP_TYPES[reason]
        if stop_type == "word" and not word:  # a stopping rule: the infill is complete
            stop_type = "eos"
        num_prompt_tokens = result.usage.num_prompt_tokens
        written = {
            "index": number,
            "content": text if content is None else content,
            "tokens": [one.token_id for one in tokens if one.data] if shape.has_tokens else [],
            "id_slot": shape.slot,
            "stop": True,
            "model": answer.model,
            "tokens_predicted": len(tokens),
            "tokens_evaluated": num_prompt_tokens,
            "generation_settings": self.settings(answer, index),
            "prompt": "" if result.prompt is None else result.prompt.text,
            "has_new_line": "\n" in text,
            "truncated": reason == "length" and len(tokens) < request.sampling.max_new_tokens,
            "stop_type": stop_type,
            "stopping_word": word,
            "tokens_cached": num_prompt_tokens + len(tokens),
            "timings": timings(result, len(tokens)),
        }
        if shape.num_probs:
            written["completion_probabilities"] = [self.probabilities(one) for one in tokens]
        return written

    def settings(self, answer: Answer, index: int) -> dict[str, Any]:
        """Return the settings of a request, by llama.cpp's names."""
        sampling = self.requests[index].sampling
        limit = self.shape.num_predict
        return {
            "n_ctx": answer.context_length,
            "n_predict": limit,
            "max_tokens": limit,
            "seed": sampling.seed if self.shape.has_seed else _DRAWN_SEED,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k or 0,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "repeat_penalty": sampling.repetition_penalty,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "stop": list(sampling.stop),
            "n_probs": self.shape.num_probs,
            "n_indent": self.shape.least_indent,
            "n_cmpl": self.shape.num_candidates,
            "post_sampling_probs": self.shape.has_probabilities,
            "ignore_eos": False,
        }

    def probabilities(self, token: Token) -> dict[str, Any]:
        """Return a token with those that could have been in its place."""
        name = "top_probs" if self.shape.has_probabilities else "top_logprobs"
        return {**self._probable(token), name: [self._probable(one) for one in token.alternatives]}

    def _probable(self, token: Token | Alternative) -> dict[str, Any]:
        logprob = min(0.0, token.logprob or 0.0)
        value = {"prob": math.exp(logprob)} if self.shape.has_probabilities else {"logprob": logprob}
        return {"id": token.token_id, "token": token.text, "bytes": list(token.data), **value}


@dataclass(slots=True)
class Stream:
    """Writes an event for each piece of text, and at the end all of each candidate.

    With probabilities (`n_probs`) there is an event for each token instead, once all of them are known.
    """

    writer: Writer
    _guards: dict[int, IndentGuard] = field(default_factory=dict)

    def start(self, answer: Answer) -> None:
        """The events need no facts before the end."""

    def piece(self, index: int, piece: TextPiece) -> Iterable[JSON]:
        shape = self.writer.shape
        number = index * shape.num_candidates + piece.candidate
        text = piece.text if shape.num_predict and not shape.num_probs else ""
        if shape.least_indent:
            text = self._guards.setdefault(number, IndentGuard(shape.least_indent)).add(text)
        if text:
            yield self._event(number, text)

    def end(self, answer: Answer) -> Iterable[JSON]:
        shape = self.writer.shape
        for index, result in enumerate(answer.results):
            for place, candidate in enumerate(result.candidates[: shape.num_candidates]):
                number = index * shape.num_candidates + place
                held = self._guards[number].end() if number in self._guards else ""
                if held:
                    yield self._event(number, held)
                if shape.num_probs:
                    yield from self._tokens(number, index, result, candidate)
                last = self.writer.object(answer, index, result, candidate, number=number, content="")
                yield selected(last, shape.response_fields)

    def error(self, error: RequestError) -> JSON:
        return llama_error(error)

    def _tokens(self, number: int, index: int, result: InfillResult, candidate: Candidate) -> Iterable[JSON]:
        """Yield an event for each new token, until the text that is shown is complete."""
        text_left = self.writer.content(index, candidate).replace("\r\n", "\n")
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for token, data in new_tokens(result, candidate):
            if not text_left:
                return
            text = decoder.decode(data)
            shown, text_left = text[: len(text_left)], text_left[len(text) :]
            probabilities = [self.writer.probabilities(token)]
            yield self._event(number, shown, [token.token_id], completion_probabilities=probabilities)

    def _event(self, number: int, content: str, tokens: Sequence[int] = (), **fields: JSON) -> JSON:
        return {
            "index": number,
            "content": content,
            "tokens": list(tokens),
            "stop": False,
            "id_slot": self.writer.shape.slot,
            "tokens_predicted": 0,
            "tokens_evaluated": 0,
            **fields,
        }


def selected(written: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return only these fields, all without any; a path such as "timings/prompt_n" stays the field's name.

    Names that do not exist are left out.

    >>> selected({"content": "x", "timings": {"prompt_n": 3}}, ["timings/prompt_n", "", "timings/x"])
    {'timings/prompt_n': 3}
    """
    if not names:
        return written
    found = {}
    for name in names:
        value: Any = written
        for key in name.split("/"):
            value = value.get(key, _MISSING) if isinstance(value, dict) else _MISSING
        if value is not _MISSING:
            found[name] = value
    return found


_MISSING = object()


def new_tokens(result: InfillResult, candidate: Candidate) -> list[tuple[Token, bytes]]:
    """Return the tokens of an infill with their bytes there.

    Tokens that only repeat the end of the prompt (token healing) are left out.
    """
    num_healed, found = len(_required(result)), list[tuple[Token, bytes]]()
    for token in candidate.tokens[0] if candidate.tokens else ():
        data = token.data[num_healed:]
        num_healed = max(0, num_healed - len(token.data))
        if data or not token.data:
            found.append((token, data))
    return found


def stop_string(result: InfillResult, candidate: Candidate, stops: Sequence[str]) -> str:
    """Return the stop string that ended a candidate, empty if a stopping rule did."""
    written = b"".join(data for _, data in new_tokens(result, candidate)).decode("utf-8", "replace")
    after = written[len(candidate.infills[0].replace("\r\n", "\n")) :]
    return max((stop for stop in stops if after.startswith(stop)), key=len, default="")


def _required(result: InfillResult) -> bytes:
    required = "" if result.prompt is None else result.prompt.required_prefix
    return required.encode("utf-8", "surrogateescape")


def timings(result: InfillResult, num_predicted: int) -> dict[str, Any]:
    """Return the counts and milliseconds of a request, by llama.cpp's names."""
    usage, timing = result.usage, result.timing
    num_read = max(0, usage.num_prompt_tokens - usage.num_cached_tokens)
    prompt_ms = 0.0 if timing is None else max(0.0, timing.prefill_seconds * 1000)
    predicted_ms = 0.0 if timing is None else max(0.0, timing.decode_seconds * 1000)
    return {
        "cache_n": usage.num_cached_tokens,
        **_rates("prompt", num_read, prompt_ms),
        **_rates("predicted", num_predicted, predicted_ms),
        **_drafts(usage),
    }


def _rates(name: str, number: int, milliseconds: float) -> dict[str, Any]:
    return {
        f"{name}_n": number,
        f"{name}_ms": milliseconds,
        f"{name}_per_token_ms": milliseconds / number if number else 0.0,
        f"{name}_per_second": 1000 * number / milliseconds if milliseconds else 0.0,
    }


def _drafts(usage: Usage) -> dict[str, int]:
    if not usage.num_draft_tokens:
        return {}
    return {"draft_n": usage.num_draft_tokens, "draft_n_accepted": usage.num_accepted_tokens}
