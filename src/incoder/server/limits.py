"""Bounds on what a single call may ask for, whatever its dialect."""

from collections.abc import Sequence
from dataclasses import replace

from incoder.request import InfillRequest
from incoder.server.request_error import RequestError
from incoder.server.settings import ServerSettings

MAX_NEW_TOKENS = 8192  # of an infill; greater numbers are lowered to it


def checked(requests: Sequence[InfillRequest], settings: ServerSettings) -> list[InfillRequest]:
    """Return the requests, with at most `MAX_NEW_TOKENS` for each infill.

    Raises:
        RequestError: there are too many requests, candidates, beams or holes, or the project of one of them
            was not named when the server was started.

    >>> checked([InfillRequest(parts=("x",), num_candidates=99)], ServerSettings())
    Traceback (most recent call last):
    incoder.server.request_error.RequestError: a request may ask for at most 16 candidates, got 99
    """
    if not requests:
        raise RequestError(400, "a body must have a prompt, got none")
    _check("a body", len(requests), settings.max_requests, "prompts")
    for request in requests:
        _check("a request", request.num_candidates, settings.max_candidates, "candidates")
        _check("a request", request.sampling.num_beams, settings.max_candidates, "beams")
        _check("a request", len(request.parts), settings.max_parts, "parts")
        if request.project is not None and not settings.allows_project(request.project):
            allowed = ", ".join(map(str, settings.projects)) or "none; start the server with --project DIR"
            raise RequestError(400, f"the project must be one of those that the server may read: {allowed}")
    total = sum(request.num_candidates for request in requests)
    _check("a body", total, max(settings.max_requests, settings.max_candidates), "candidates of all prompts")
    return [_bounded(request) for request in requests]


def _check(owner: str, number: int, most: int, noun: str) -> None:
    if number > most:
        raise RequestError(400, f"{owner} may ask for at most {most} {noun}, got {number}")


def _bounded(request: InfillRequest) -> InfillRequest:
    if request.sampling.max_new_tokens <= MAX_NEW_TOKENS:
        return request
    return replace(request, sampling=replace(request.sampling, max_new_tokens=MAX_NEW_TOKENS))
