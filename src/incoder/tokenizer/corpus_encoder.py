"""The fast way to encode a whole corpus: the ids of `Tokenizer.encode`, computed by tiktoken.

Text in, token ids out. Needs the `corpus` extra. Knows no files and no special tokens.
"""

from incoder.extras import missing_extra
from incoder.tokenizer.family_tokenizer import FamilyTokenizer
from incoder.tokenizer.tokenizer import Tokenizer


class CorpusEncoder:
    """An encoder with the ids of a tokenizer, about three times as fast.

    Raises:
        IncoderError: tiktoken is not installed.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        try:
            import tiktoken
        except ImportError as error:
            raise missing_extra("encoding a corpus needs tiktoken", "corpus") from error
        self._tokenizer = tokenizer
        self.vocab_size = tokenizer.vocab_size
        self.fingerprint = tokenizer.fingerprint
        self.document_start_ids: tuple[int, ...] = (tokenizer.document_start_id,)
        # tiktoken merges any two neighbours that form a token, lowest id first. BPE merges only the pairs
        # that it has learned, in the order of learning, which is the order of the ids. The two agree on
        # tokens whose bytes encode to the token itself. BPE never produces any other token, so tiktoken must
        # not know them.
        bpe_ids = range(tokenizer.unknown_id + 1, tokenizer.sentinel_ids.start)
        ranks = {tokenizer.token_bytes(i): i for i in bpe_ids}
        self._encoding = tiktoken.Encoding(
            "incoder",
            pat_str=r"[\r\n]+|[^\r\n]+",  # the pieces of the pre-tokenizer
            mergeable_ranks={data: i for data, i in ranks.items() if tokenizer.encode_bytes(data) == [i]},
            special_tokens={},
        )

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; special tokens in it are ordinary text.

        Raises:
            IncoderError: a lone surrogate that represents no byte.
        """
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:  # tiktoken would replace a lone surrogate by U+FFFD
            return self._tokenizer.encode(text)
        return self._encoding.encode_ordinary(text)


class FamilyEncoder:
    """An encoder with another family's tokenizer; documents have no mark at their start.

    Training adds the family's marks where its format has them (objective/fill_in_the_middle.py).
    """

    document_start_ids: tuple[int, ...] = ()

    def __init__(self, tokenizer: FamilyTokenizer) -> None:
        self._tokenizer = tokenizer
        self.vocab_size = tokenizer.vocab_size
        self.fingerprint = tokenizer.fingerprint

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; special tokens in it are ordinary text.

        Raises:
            IncoderError: a lone surrogate that represents no byte.
        """
        return self._tokenizer.encode(text)


def encoder_of(tokenizer: Tokenizer | FamilyTokenizer) -> CorpusEncoder | FamilyEncoder:
    """Return the fastest encoder with a tokenizer's ids.

    Raises:
        IncoderError: tiktoken is not installed.
    """
    return CorpusEncoder(tokenizer) if isinstance(tokenizer, Tokenizer) else FamilyEncoder(tokenizer)
