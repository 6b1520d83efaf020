"""Answers in OpenAI's chat shape: a message, or a stream of its deltas. Mistral's infills have it, too."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from incoder.results import Candidate, TextPiece
from incoder.server.call import Answer
from incoder.server.dialects.openai import FINGERPRINT, finish_reason, usage
from incoder.server.request_error import JSON, ErrorShape, RequestError


@dataclass(frozen=True, slots=True)
class ChatWriter:
    """Writes each candidate as a choice; `shown` is the text of an infill in its message."""

    shown: Callable[[str], str] = str

    def answer(self, answer: Answer) -> JSON:
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": self.shown(one.infills[0]), "tool_calls": None},
                "logprobs": None,
                "finish_reason": finish_reason(one),
            }
            for index, one in enumerate(_candidates(answer))
        ]
        return {**_head(answer, "chat.completion"), "choices": choices, "usage": usage(answer)}


@dataclass(slots=True)
class ChatStream:
    """Writes a delta for each piece, and the reason at the end of each choice.

    The usage comes with the last choice, or in a chunk of its own with `has_usage_chunk`.
    """

    error_shape: ErrorShape
    has_usage_chunk: bool = False
    _head: dict[str, Any] = field(default_factory=dict)
    _begun: set[int] = field(default_factory=set)

    def start(self, answer: Answer) -> None:
        self._head = _head(answer, "chat.completion.chunk")

    def piece(self, index: int, piece: TextPiece) -> Iterable[JSON]:
        number = index + piece.candidate
        yield self._chunk(number, piece.text)

    def end(self, answer: Answer) -> Iterable[JSON]:
        candidates = _candidates(answer)
        for number, one in enumerate(candidates):
            text = "" if number in self._begun else one.infills[0]
            chunk = self._chunk(number, text, finish_reason(one))
            if not self.has_usage_chunk and number == len(candidates) - 1:
                chunk = {**chunk, "usage": usage(answer)}
            yield chunk
        if self.has_usage_chunk:
            yield {**self._head, "choices": [], "usage": usage(answer)}

    def error(self, error: RequestError) -> JSON:
        return self.error_shape(error)

    def _chunk(self, number: int, text: str, reason: str | None = None) -> dict[str, Any]:
        role = {} if number in self._begun else {"role": "assistant"}
        self._begun.add(number)
        choice = {"index": number, "delta": {**role, "content": text}, "finish_reason": reason}
        return {**self._head, "choices": [choice]}


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{answer.id}",
        "object": kind,
        "created": answer.created,
        "model": answer.model,
        "system_fingerprint": FINGERPRINT,
    }


def _candidates(answer: Answer) -> Sequence[Candidate]:
    return [one for result in answer.results for one in result.candidates]
