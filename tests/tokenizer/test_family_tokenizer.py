"""Other families' tokenizers against `tokenizers` reading the same file, and to the byte."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import tokenizers
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from incoder.errors import IncoderError
from incoder.tokenizer import vocabulary_layout
from incoder.tokenizer.family_tokenizer import FamilyTokenizer
from incoder.tokenizer.fill_in_the_middle import FAMILIES

Contents = Callable[[str], dict[str, Any]]
SPECIAL = [token for family in FAMILIES for token in (*family.tokens, *family.ends)]
fragments = [*"\r\n\t ▁☺e:sé漢🙂\x00\x85", "e\u0301", "return ", " def", "<0x41>", "<PRE>", *SPECIAL]
any_text = st.one_of(st.lists(st.sampled_from(fragments)).map("".join), st.text())
any_bytes = st.one_of(
    st.binary(), st.lists(st.sampled_from([b"\r", b"\xe9", b"\xc3", b"\xe2\x96", b"def "])).map(b"".join)
)
each_example = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def content(family_tokenizers: Contents, family_name: str) -> dict[str, Any]:
    return family_tokenizers(family_name)


@pytest.fixture
def tokenizer(content: dict[str, Any]) -> FamilyTokenizer:
    return FamilyTokenizer(content, SPECIAL)


@pytest.fixture
def peer(content: dict[str, Any]) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_str(json.dumps(content))


CODE = [
    "import numpy as np\n\n\ndef mean(xs):\n    return sum(xs) / len(xs)\n",
    "def café(text: str) -> int:\r\n\t# 漢字 and 🙂 are text as well: 1234\r\n",
    "  x  =  'a'\n\n\n",
    "",
]


@pytest.mark.parametrize("text", CODE)
def test_a_document_has_the_family_s_ids(
    tokenizer: FamilyTokenizer, peer: tokenizers.Tokenizer, text: str
) -> None:
    assert tokenizer.encode_start(text) == peer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("text", CODE)
def test_a_piece_of_a_document_has_the_ids_that_it_has_behind_a_guard(
    family_tokenizers: Contents, text: str
) -> None:
    """As Code Llama's authors encode a suffix: behind a character that merges with nothing, then cut off."""
    content = family_tokenizers("codellama")
    peer = tokenizers.Tokenizer.from_str(json.dumps(content))
    behind_guard = peer.encode("☺" + text, add_special_tokens=False)
    assert behind_guard.tokens[:2] == ["▁", "☺"]
    assert FamilyTokenizer(content, SPECIAL).encode(text) == behind_guard.ids[2:]


@each_example
@example(text="e\u0301<PRE> ▁<PRE> <s></s><0x41>")
@given(text=any_text)
def test_any_text_comes_back_and_its_bytes_have_the_same_ids(tokenizer: FamilyTokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode_bytes(text.encode()) == tokenizer.encode(text)


@each_example
@given(data=any_bytes)
def test_bytes_that_are_no_text_come_back_or_are_refused(tokenizer: FamilyTokenizer, data: bytes) -> None:
    assert tokenizer.decode_bytes(tokenizer.encode_bytes(data)) == data
    escaped = data.decode("utf-8", "surrogateescape")
    assert tokenizer.encode(escaped) == tokenizer.encode_bytes(data)


@each_example
@given(text=any_text)
def test_no_text_becomes_a_special_token(tokenizer: FamilyTokenizer, text: str) -> None:
    assert set(tokenizer.encode(text)).isdisjoint(tokenizer.special_ids.values())


def test_code_llama_s_merges_would_make_its_special_tokens(family_tokenizers: Contents) -> None:
    """What the test above is about: the family's own file, without added tokens, reads one out of a text."""
    content = {**family_tokenizers("codellama"), "added_tokens": []}
    peer = tokenizers.Tokenizer.from_str(json.dumps(content))
    assert "▁<PRE>" in peer.encode("x <PRE>").tokens


def test_special_tokens_have_names_and_no_bytes(tokenizer: FamilyTokenizer, content: dict[str, Any]) -> None:
    assert tokenizer.special_ids
    for name, token_id in tokenizer.special_ids.items():
        assert tokenizer.token_bytes(token_id) == b""
        assert {"content": name, "id": token_id}.items() <= next(
            token.items() for token in content["added_tokens"] if token["content"] == name
        )


def test_bytes_that_deepseek_coder_adds_as_tokens_are_bytes(family_tokenizers: Contents) -> None:
    """The character ÿ, which stands for the byte 255 in its vocabulary, is not that byte in a text."""
    tokenizer = FamilyTokenizer(family_tokenizers("deepseek-coder"))
    assert "ÿ" not in tokenizer.special_ids
    assert tokenizer.token_bytes(tokenizer.encode_bytes(b"\xff")[0]) == b"\xff"
    assert tokenizer.decode_bytes(tokenizer.encode("ÿ")) == "ÿ".encode()


def test_ids_that_are_not_used_stand_for_nothing(family_tokenizers: Contents) -> None:
    content = copy.deepcopy(family_tokenizers("qwen2.5-coder"))
    last = max(token["id"] for token in content["added_tokens"])
    content["added_tokens"].append({**content["added_tokens"][0], "content": "<|last|>", "id": last + 10})
    tokenizer = FamilyTokenizer(content)
    assert tokenizer.vocab_size == last + 11
    assert tokenizer.token_bytes(last + 5) == b""
    with pytest.raises(IncoderError, match=f"must be in \\[0, {last + 11}\\), got {last + 11}"):
        tokenizer.token_bytes(last + 11)


def test_a_byte_that_the_vocabulary_lacks_is_refused_only_where_a_text_holds_it(
    family_tokenizers: Contents,
) -> None:
    """As SmolLM2's lacks the control character 0x04, and 0xf1, with which no assigned character begins."""
    content = copy.deepcopy(family_tokenizers("starcoder"))
    for byte in (0x04, 0xF1):
        del content["model"]["vocab"][vocabulary_layout.BYTE_CHARACTERS[byte]]
    tokenizer = FamilyTokenizer(content)
    assert tokenizer.decode(tokenizer.encode("größe = 1\n")) == "größe = 1\n"
    for text, name in (("a\x04b", "0x04"), ("\U00040000", "0xf1")):
        message = f"the text holds the byte {name}, for which the vocabulary has no token; remove"
        with pytest.raises(IncoderError, match=message):
            tokenizer.encode(text)
        with pytest.raises(IncoderError, match=message):
            tokenizer.encode_bytes(text.encode())
    with pytest.raises(IncoderError, match="no token for the byte 0xf1"):
        tokenizer.encode_bytes(b"\xf1")  # alone it is not UTF-8


def test_half_of_a_surrogate_pair_is_refused(tokenizer: FamilyTokenizer) -> None:
    with pytest.raises(IncoderError, match="half of a surrogate pair"):
        tokenizer.encode("a\ud800")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"type": "Unigram", "vocab": []}}, "its model is Unigram; only BPE is supported"),
        ({"pre_tokenizer": None}, "neither byte-level nor falls back to bytes"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}, "no token for the byte 0x09"),
        ({"model": None}, "not a tokenizer.json of a known form"),
        ({"added_tokens": [{}]}, "not a tokenizer.json of a known form"),
        (
            {"added_tokens": [{"content": "a", "id": 10**9}]},
            "'a' has the id 1000000000; ids are whole numbers",
        ),
        ({"added_tokens": [{"content": "a", "id": -1}]}, "'a' has the id -1"),
        ({"added_tokens": [{"content": "a", "id": "7"}]}, "'a' has the id '7'"),
        ({"added_tokens": [{"content": "a", "id": 10**30}]}, "'a' has the id 1000"),
        ({"model": ["BPE"]}, "not a tokenizer.json of a known form"),
        ({"pre_tokenizer": "ByteLevel"}, "not a tokenizer.json of a known form"),
    ],
)
def test_a_tokenizer_of_another_kind_is_refused(
    family_tokenizers: Contents, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(IncoderError, match=message):
        FamilyTokenizer({**family_tokenizers("qwen2.5-coder"), **change})
