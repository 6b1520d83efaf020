from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import incoder
from incoder.tokenizer.corpus_encoder import CorpusEncoder
from incoder.tokenizer.tokenizer import Tokenizer

fragments = [*"\r\n\t  ex:sé漢🙂\udcff", "return ", "self.count", "<s>", "<|", " |>", "<|mask:0|>"]


@pytest.fixture(scope="module")
def encoder(tiny_tokenizer: Tokenizer) -> CorpusEncoder:
    return CorpusEncoder(tiny_tokenizer)


@given(text=st.one_of(st.text(), st.lists(st.sampled_from(fragments)).map("".join)))
def test_its_ids_are_those_of_the_tokenizer(
    tiny_tokenizer: Tokenizer, encoder: CorpusEncoder, text: str
) -> None:
    assert encoder.encode(text) == tiny_tokenizer.encode(text)


def test_its_ids_are_those_of_the_published_vocabulary_on_our_own_source(shared: Path) -> None:
    published = Tokenizer.from_file(shared / "tokenizer")
    encoder = CorpusEncoder(published)
    for path in sorted(Path(incoder.__file__).parent.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert encoder.encode(text) == published.encode(text)


def test_it_goes_by_the_same_name(tiny_tokenizer: Tokenizer, encoder: CorpusEncoder) -> None:
    assert encoder.fingerprint == tiny_tokenizer.fingerprint
    assert encoder.vocab_size == tiny_tokenizer.vocab_size
    assert encoder.document_start_id == tiny_tokenizer.document_start_id
