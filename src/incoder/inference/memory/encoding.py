"""Many texts to token ids at once, as fast as the installation allows; the ids are the tokenizer's."""

from collections.abc import Sequence

from incoder.errors import IncoderError
from incoder.tokenizer.corpus_encoder import CorpusEncoder
from incoder.tokenizer.text_tokenizer import TextTokenizer
from incoder.tokenizer.tokenizer import Tokenizer

_MANY = 500_000  # characters; for fewer, setting up the fast encoder takes longer than it saves


def encode_texts(tokenizer: TextTokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The ids of each text, by tiktoken where it is installed (extra `corpus`) and there is much to do."""
    if isinstance(tokenizer, Tokenizer) and sum(map(len, texts)) >= _MANY:
        try:
            encoder = CorpusEncoder(tokenizer)
        except IncoderError:  # not installed
            pass
        else:
            return [encoder.encode(text) for text in texts]
    return tokenizer.encode_batch(texts)
