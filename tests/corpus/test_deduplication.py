import re

from hypothesis import given
from hypothesis import strategies as st

from incoder.corpus.deduplication import deduplicated, token_key
from incoder.corpus.source_file import Dropped
from incoder.document import Document


def document(text: str, path: str = "a.py") -> Document:
    return Document(text, path, "p", "folder")


def test_spacing_and_punctuation_do_not_count() -> None:
    assert token_key("x = f(1, 2)\n", ".py") == token_key("x=f( 1,\r\n\t2 );", ".py")


def test_case_order_number_and_extension_count() -> None:
    keys = {
        token_key(text, ext)
        for text, ext in [("a b", ".py"), ("A b", ".py"), ("b a", ".py"), ("a b b", ".py"), ("a b", ".pyi")]
    }
    assert len(keys) == 5


def test_letters_of_other_scripts_count() -> None:
    assert token_key("名 = 1", ".py") != token_key("値 = 1", ".py")


def test_the_first_of_several_copies_stays() -> None:
    documents = [document("x = 1", "b.py"), document("x=1", "a.py"), document("x = 2", "c.py")]
    dropped = list[object]()
    kept = list(deduplicated(documents, dropped.append))
    assert [kept_one.path for kept_one in kept] == ["b.py", "c.py"]
    assert dropped == [Dropped("p", "a.py", 3, "duplicate")]


@given(st.text(st.characters(max_codepoint=127)), st.text(st.characters(max_codepoint=127)))
def test_keys_are_equal_where_the_words_are(one: str, other: str) -> None:
    same = re.findall(r"\w+", one, re.ASCII) == re.findall(r"\w+", other, re.ASCII)
    assert (token_key(one, ".py") == token_key(other, ".py")) == same
