"""llama.cpp's shape of an error."""

from incoder.server.request_error import JSON, RequestError


def llama_error(error: RequestError) -> JSON:
    """Return an error as llama.cpp writes it; llama.vscode shows its message.

    >>> llama_error(RequestError(503, "Loading model", "unavailable_error"))
    {'error': {'code': 503, 'message': 'Loading model', 'type': 'unavailable_error'}}
    """
    return {"error": {"code": error.status, "message": error.message, "type": error.kind}}
