from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import incoder
from incoder.tokenizer.corpus_encoder import CorpusEncoder
from incoder.tokenizer.tokenizer import Tokenizer

VARIED = [
    "",
    "\n\n\r\n\r\n\n",
    "\tif größe == '漢字🙂':\r\n\t\tpass\r\n",
    "<|endoftext|> <|mask:0|> <pad>\n",
    "a" * 2000 + "\n" + " " * 2000 + "ab" * 1000,
    "\x00\x0b\x0c\x85\u2028 no line ends\n",
]
fragments = [*"\r\n\t  ex:sé漢🙂\udcff", "return ", "self.count", "<s>", "<|", " |>", "<|mask:0|>"]


@pytest.fixture(scope="module")
def encoder(tiny_tokenizer: Tokenizer) -> CorpusEncoder:
    return CorpusEncoder(tiny_tokenizer)


@given(text=st.one_of(st.text(), st.lists(st.sampled_from(fragments)).map("".join)))
def test_its_ids_are_those_of_the_tokenizer(
    tiny_tokenizer: Tokenizer, encoder: CorpusEncoder, text: str
) -> None:
    assert encoder.encode(text) == tiny_tokenizer.encode(text)


def test_its_ids_are_those_of_the_published_vocabulary(shared: Path) -> None:
    published = Tokenizer.from_file(shared / "tokenizer")
    encoder = CorpusEncoder(published)
    sources = [path.read_text(encoding="utf-8") for path in Path(incoder.__file__).parent.rglob("*.py")]
    for text in [*VARIED, *sources]:
        assert encoder.encode(text) == published.encode(text)


def test_it_goes_by_the_same_name(tiny_tokenizer: Tokenizer, encoder: CorpusEncoder) -> None:
    assert encoder.fingerprint == tiny_tokenizer.fingerprint
    assert encoder.vocab_size == tiny_tokenizer.vocab_size
    assert encoder.document_start_ids == (tiny_tokenizer.document_start_id,)
