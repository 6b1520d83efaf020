"""OpenAI's `logprobs` object of a completion: its tokens, their log-probabilities and their alternatives."""

from collections.abc import Sequence
from typing import Any

from incoder.results import Token


def logprobs_of(tokens: Sequence[Token], offset: int = 0) -> dict[str, Any]:
    """Return the object; `offset` is where in the text, in characters, the first token begins.

    >>> logprobs_of([Token(7, b"x", -0.5)], offset=4)["text_offset"]
    [4]
    """
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [_alternatives(token) for token in tokens],
        "text_offset": offsets,
    }


def _alternatives(token: Token) -> dict[str, float] | None:
    """Return the alternatives and the token itself by their texts; of equal texts the most probable one."""
    if token.logprob is None:
        return None
    found: dict[str, float] = {}
    for text, logprob in [
        *((one.text, one.logprob) for one in token.alternatives),
        (token.text, token.logprob),
    ]:
        found[text] = max(logprob, found.get(text, logprob))
    return found
