"""An error as an answer: its status, message and kind. Each dialect writes it in its own shape."""

from collections.abc import Callable
from typing import Any

from incoder.errors import IncoderError
from incoder.inference.upstream.client import UpstreamError

JSON = Any  # what `json.dumps` accepts

CLIENT_GONE = 499  # nginx's number for a client that closed the connection; only metrics show it
_REFUSED_REQUEST = (400, 413, 422)  # an upstream's answers to a request that is itself wrong


class RequestError(Exception):
    """Ends a request with an HTTP status. The message goes to the client, so it must not quote any code.

    `kind` is a word of OpenAI's API that clients compare, such as `invalid_request_error`. `retry_after` is
    in seconds.

    >>> RequestError(429, "the queue is full", "rate_limit_error", retry_after=1).status
    429
    """

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = "invalid_request_error",
        *,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.retry_after = retry_after


ErrorShape = Callable[[RequestError], JSON]


def openai_error(error: RequestError) -> JSON:
    """Return OpenAI's shape of an error, which is ours as well.

    >>> openai_error(RequestError(404, "no such model", "not_found_error"))["error"]["code"]
    404
    """
    return {
        "error": {"message": error.message, "type": error.kind, "param": None, "code": error.status},
    }


def as_request_error(error: Exception) -> RequestError:
    """Return the answer for an exception: a user's mistake is a 400 with its message, a bug of ours a 500.

    An upstream that does not answer now is a 503, and one that refuses this server, or answers nonsense, a
    502. The message of a bug stays in the server: it may quote the user's code.

    >>> as_request_error(IncoderError("top_p must be in (0, 1], got 2")).status
    400
    >>> as_request_error(UpstreamError("cannot connect", is_temporary=True)).status
    503
    >>> as_request_error(KeyError("secret")).message
    'the server has failed (KeyError); its log says where'
    """
    if isinstance(error, RequestError):
        return error
    if isinstance(error, UpstreamError) and error.is_temporary:
        return RequestError(503, str(error), "unavailable_error", retry_after=1)
    if isinstance(error, UpstreamError) and error.status not in _REFUSED_REQUEST:
        return RequestError(502, str(error), "upstream_error")
    if isinstance(error, IncoderError):
        return RequestError(400, str(error))
    kind = type(error).__name__
    return RequestError(500, f"the server has failed ({kind}); its log says where", "server_error")
