"""What a dialect makes of a body, and what it gets back to write: plain data, no HTTP and no model.

A dialect is two pure functions: `read(body) -> Call`, and the `write` of that call, from an `Answer` to JSON.
A call that asks for a stream also has a `StreamWriter`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from incoder.request import InfillRequest
from incoder.results import InfillResult, TextPiece
from incoder.server.request_error import JSON, RequestError

Framing = Literal["sse", "sse-done", "ndjson"]  # "sse-done" ends with OpenAI's `data: [DONE]`


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The results of a call's requests, in their order, and the facts that dialects write beside them.

    `id` is unique, `created` in seconds since 1970, `model` the name of the served model, `context_length` in
    tokens. `queued_seconds` is the time before the first request was started, `total_seconds` all of it.
    """

    results: tuple[InfillResult, ...]
    id: str
    created: int
    model: str
    context_length: int
    queued_seconds: float = 0.0
    total_seconds: float = 0.0

    @property
    def num_prompt_tokens(self) -> int:
        return sum(result.usage.num_prompt_tokens for result in self.results)

    @property
    def num_cached_tokens(self) -> int:
        return sum(result.usage.num_cached_tokens for result in self.results)

    @property
    def num_completion_tokens(self) -> int:
        return sum(result.usage.num_completion_tokens for result in self.results)


class StreamWriter(Protocol):
    """Writes the events of one stream. It may keep state: there is one for each call.

    Every event is a JSON value; the framing (server-sent events or a line each) is the call's.
    """

    def start(self, answer: Answer) -> None:
        """Take the facts of the answer; it has no results yet."""

    def piece(self, index: int, piece: TextPiece) -> Iterable[JSON]:
        """Return the events for a piece of the text of request `index`, with the text's own line ends."""

    def end(self, answer: Answer) -> Iterable[JSON]:
        """Return the last events, once all requests are finished."""

    def error(self, error: RequestError) -> JSON:
        """Return the event for an error after the first event; an earlier one is an ordinary HTTP error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a body asks for: requests that run side by side, and how their answer is written.

    `model` is the name in the body; an empty one, and with `any_model` an unknown one, means the first model.
    A request without a seed of its own (`has_seed` is False) draws one, so that equal requests vary. Of the
    calls that name the same `slot`, from one peer with one key for one model, the newest cancels the older
    ones (None names no slot). A warm-up neither cancels nor is cancelled. `stream` is None unless the body
    asks for a stream.
    """

    requests: Sequence[InfillRequest]
    write: Callable[[Answer], JSON]
    stream: StreamWriter | None = None
    framing: Framing = "sse"
    model: str = ""
    any_model: bool = False
    has_seed: bool = False
    slot: str | None = None
    is_warm_up: bool = False
    headers: dict[str, str] = field(default_factory=dict)
