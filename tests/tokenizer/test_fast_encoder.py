import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from incoder.tokenizer.fast_encoder import FastEncoder
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.tokenizer.training import train_tokenizer

VARIED = [
    "",
    "\n\n\r\n\r\n\n",
    "def f(x):\n    return  x  +  1\n\n\n",
    "\tif größe == '漢字🙂':\r\n\t\tpass\r\n",
    "<|endoftext|> <|mask:0|> <pad>\n",
    "a" * 2000 + "\n" + " " * 2000 + "ab" * 1000,
    "\x00\x0b\x0c\x85\u2028 no line ends\n",
]


def test_what_the_corpus_needs_to_know_is_the_tokenizers(tiny_tokenizer: Tokenizer) -> None:
    encoder = FastEncoder(tiny_tokenizer)
    assert encoder.vocab_size == tiny_tokenizer.vocab_size
    assert encoder.fingerprint == tiny_tokenizer.fingerprint
    assert encoder.document_start_id == tiny_tokenizer.document_start_id


def test_ids_equal_the_tokenizers_on_varied_text(tiny_tokenizer: Tokenizer) -> None:
    encoder = FastEncoder(tiny_tokenizer)
    for text in VARIED:
        assert encoder.encode(text) == tiny_tokenizer.encode(text)


@given(st.text())
def test_ids_equal_the_tokenizers_on_any_text(tiny_tokenizer: Tokenizer, text: str) -> None:
    assert FastEncoder(tiny_tokenizer).encode(text) == tiny_tokenizer.encode(text)


def test_ids_equal_those_of_the_published_tokenizer(shared: Path) -> None:
    published = Tokenizer.from_file(shared / "tokenizer")
    encoder = FastEncoder(published)
    for text in [*VARIED, Path(__file__).read_text(), Path(random.__file__).read_text()]:
        assert encoder.encode(text) == published.encode(text)


def test_ids_equal_with_a_vocabulary_of_real_code() -> None:
    sources = [Path(random.__file__).with_name(name) for name in ("random.py", "argparse.py", "typing.py")]
    texts = [path.read_text() for path in sources]
    tokenizer = train_tokenizer(texts[:2], vocab_size=3000)
    encoder = FastEncoder(tokenizer)
    for text in texts:
        assert encoder.encode(text) == tokenizer.encode(text)
