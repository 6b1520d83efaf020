"""The same ids as `Tokenizer.encode`, three times as fast: tiktoken does the work. For whole corpora."""

from functools import cached_property
from typing import TYPE_CHECKING

from incoder.errors import IncoderError
from incoder.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:
    import tiktoken

_PIECES = r"[\r\n]+|[^\r\n]+"  # as layout.text_pre_tokenizer cuts


class FastEncoder:
    """Encodes text with a tokenizer's vocabulary; special tokens in the text are text.

    tiktoken merges in the order of the ids, the tokenizer in the order of its merges. In every vocabulary of
    ours and in the published one these are the same, because ids were given out merge by merge.

    Raises:
        IncoderError: tiktoken is not installed.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.vocab_size = tokenizer.vocab_size
        self.document_start_id = tokenizer.document_start_id
        self._encode = _encoding(tokenizer).encode_ordinary

    @cached_property
    def fingerprint(self) -> str:
        """That of the tokenizer, since the ids are."""
        return self._tokenizer.fingerprint

    def encode(self, text: str) -> list[int]:
        """The ids of a text without lone surrogates."""
        return self._encode(text)


def _encoding(tokenizer: Tokenizer) -> "tiktoken.Encoding":
    try:
        import tiktoken
    except ImportError as error:
        raise IncoderError("encoding a corpus needs tiktoken: pip install 'incoder[corpus]'") from error

    ranks = {
        tokenizer.token_bytes(token_id): token_id
        for token_id in range(tokenizer.unknown_id + 1, tokenizer.sentinel_ids.start)
    }
    return tiktoken.Encoding("incoder", pat_str=_PIECES, mergeable_ranks=ranks, special_tokens={})
