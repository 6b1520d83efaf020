"""The tokens of one infill that a server has written: their ids, log-probabilities and alternatives.

Imports no torch.
"""

from collections.abc import Sequence

from incoder.inference.candidates import alternatives
from incoder.inference.decoding.infill_text import InfillText
from incoder.inference.decoding.sequence_state import Decoded
from incoder.inference.text_vocabulary import TextVocabulary
from incoder.inference.upstream.completions import Piece, UpstreamToken
from incoder.results import FinishReason, Token


class WrittenTokens:
    """The tokens so far. A server that names them by text may name one that the vocabulary does not have."""

    def __init__(self, vocabulary: TextVocabulary, num_alternatives: int) -> None:
        self._vocabulary = vocabulary
        self._num_alternatives = num_alternatives
        self._tokens: list[UpstreamToken] = []

    def __len__(self) -> int:
        return len(self._tokens)

    def add(self, tokens: Sequence[UpstreamToken]) -> None:
        """Append tokens."""
        self._tokens += tokens

    def token_id(self, token_id: int | None, text: str) -> int | None:
        """Return a token's id, by its text if the server does not say it; None for an unknown token."""
        tokenizer = self._vocabulary.tokenizer
        if token_id is not None:
            return token_id if token_id < tokenizer.vocab_size else None
        if text in tokenizer.special_ids:
            return tokenizer.special_ids[text]
        return self._vocabulary.table.id_of(text.encode("utf-8", "replace"))

    def written_id(self, piece: Piece) -> int | None:
        """Return the id of the only token of a piece, by its text if the piece has no tokens."""
        if piece.tokens:
            return self.token_id(piece.tokens[0].token_id, piece.tokens[0].text)
        return self.token_id(None, piece.text)

    def ids_of(self, piece: Piece) -> list[int] | None:
        """Return the ids of the tokens of a piece; None if one is unknown, or the server names none."""
        ids = [self.token_id(token.token_id, token.text) for token in piece.tokens]
        known = [token_id for token_id in ids if token_id is not None]
        return known if known and len(known) == len(ids) else None

    def probable_ids(self, piece: Piece) -> set[int]:
        """Return the first token of a piece and the tokens that the server names in its place."""
        names = [(one.token_id, one.text) for one in piece.tokens[:1]]
        names += [(token_id, text) for one in piece.tokens[:1] for token_id, text, _ in one.alternatives]
        return {found for name in names if (found := self.token_id(*name)) is not None}

    def given(self, token_ids: Sequence[int], tokens: Sequence[UpstreamToken]) -> tuple[Token, ...]:
        """Return the tokens of a prompt with the log-probabilities of its echo."""
        tokenizer = self._vocabulary.tokenizer
        return tuple(
            Token(
                token_id,
                tokenizer.token_bytes(token_id),
                one.logprob if index else None,
                alternatives(self._known(one), tokenizer),
            )
            for index, (token_id, one) in enumerate(zip(token_ids, tokens, strict=False))
        )

    def decoded(self, text: InfillText, reason: FinishReason) -> Decoded:
        """Return the infill with its tokens up to the one that reaches the cut.

        If a token is unknown, only the log-probabilities are returned.
        """
        ids, logprobs, rankings, num_bytes = list[int | None](), list[float](), [], 0
        for token in self._tokens:
            if text.cut is not None and num_bytes >= text.cut and ids:
                break
            found = self.token_id(token.token_id, token.text)
            ids.append(found)
            logprobs.append(0.0 if token.logprob is None else token.logprob)
            num_bytes += len(self._bytes(found, token.text))
            rankings.append(self._known(token))
        known = [one for one in ids if one is not None]
        is_known = len(known) == len(ids)
        return Decoded(
            text.infill,
            tuple(logprobs),
            reason,
            token_ids=tuple(known) if is_known else (),
            rankings=tuple(rankings) if is_known else (),
        )

    def _known(self, token: UpstreamToken) -> list[tuple[int, float]]:
        """Return the alternatives in a token's place that the vocabulary has."""
        return [
            (token_id, logprob)
            for one, name, logprob in token.alternatives[: self._num_alternatives]
            if (token_id := self.token_id(one, name)) is not None
        ]

    def _bytes(self, token_id: int | None, text: str) -> bytes:
        if token_id is None:
            return text.encode("utf-8", "replace")
        return self._vocabulary.tokenizer.token_bytes(token_id)
