"""Results as a model returns them, made by hand; with the fixture `made`, tests make them."""

import pytest

from incoder.results import (
    Alternative,
    Candidate,
    FinishReason,
    InfillResult,
    ShownPrompt,
    Timing,
    Token,
    Usage,
)
from incoder.server.call import Answer


class Made:
    """Makes results, candidates and tokens."""

    @staticmethod
    def tokens_of(*pieces: str, end: bool = False) -> tuple[Token, ...]:
        """Tokens with these texts, ids from 10 on, and two alternatives each."""
        made = [
            Token(
                10 + index,
                piece.encode(),
                -0.5,
                (Alternative(10 + index, piece.encode(), -0.5), Alternative(99, b"z", -2.0)),
            )
            for index, piece in enumerate(pieces)
        ]
        return (*made, Token(2, b"", -0.1)) if end else tuple(made)

    @staticmethod
    def candidate(
        text: str, reason: FinishReason = "end", tokens: tuple[Token, ...] = (), whole: str | None = None
    ) -> Candidate:
        return Candidate(whole if whole is not None else text, (text,), -0.5, -1.0, (reason,), (tokens,))

    @staticmethod
    def result(*candidates: Candidate, required_prefix: str = "", prompt: str = "PROMPT") -> InfillResult:
        """A result that read 7 tokens, 4 of them from the cache, in 0.2 s, and wrote for 0.5 s."""
        return InfillResult(
            candidates,
            Usage(7, 4, sum(len(one.tokens[0]) for one in candidates)),
            ShownPrompt(prompt, required_prefix, (1, 2, 3)),
            Timing(10.0, 10.2, 10.7),
        )

    @staticmethod
    def answer(*results: InfillResult) -> Answer:
        return Answer(
            results=results,
            id="abc",
            created=1_700_000_000,
            model="mini",
            context_length=2048,
            total_seconds=0.8,
        )


@pytest.fixture
def made() -> type[Made]:
    return Made
