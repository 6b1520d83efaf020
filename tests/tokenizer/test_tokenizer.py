import json
import pickle
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from incoder.errors import IncoderError
from incoder.tokenizer.tokenizer import Tokenizer

REFERENCE_ENCODINGS = {  # of the published vocabulary, without the document start
    "import numpy as np\n\n": [4053, 284],
    'if __name__ == "__main__":\n    main()\n': [8570, 205, 17215, 205],
    "<| file ext=.py |>\n": [4, 7003, 914, 35, 9444, 6, 205],
    "from .": [2758],
    "def count_words(filename):\n    counts = Counter()\n": [
        *[380, 5007, 23197, 18848, 205, 264, 1305, 407, 9376, 334, 205]
    ],
}

# Text that the merges have something to do in, and anything else.
fragments = [
    *"\r\n\t  ex:sé漢🙂\x00\x85\u2028",
    "return ",
    "def ",
    "<s>",
    "<|",
    "<|mask:0|>",
    "<|endoftext|>",
]
code_text = st.lists(st.sampled_from(fragments)).map("".join)
any_text = st.one_of(code_text, st.text())
any_bytes = st.one_of(
    st.binary(), st.lists(st.sampled_from([b"\r", b"\n", b"\xe9", b"\xc3", b"def "])).map(b"".join)
)


@pytest.fixture(scope="module")
def published(shared: Path) -> Tokenizer:
    return Tokenizer.from_file(shared / "tokenizer")


@pytest.mark.parametrize("text", REFERENCE_ENCODINGS)
def test_published_vocabulary_gives_the_reference_encodings(published: Tokenizer, text: str) -> None:
    assert published.encode(text) == REFERENCE_ENCODINGS[text]


def test_published_vocabulary_has_the_published_special_ids(published: Tokenizer) -> None:
    assert published.vocab_size == 50518
    assert published.sentinel_ids == range(50261, 50517)
    assert published.end_of_mask_id == 50517
    assert [published.special_token(i) for i in range(4)] == ["<s>", "<pad>", "<|endoftext|>", "<unk>"]
    assert published.special_token(50261 + 255) == "<|mask:255|>"


@given(texts=st.lists(any_text, max_size=4))
def test_a_batch_has_the_ids_of_its_texts(tiny_tokenizer: Tokenizer, texts: list[str]) -> None:
    assert tiny_tokenizer.encode_batch(texts) == [tiny_tokenizer.encode(text) for text in texts]


def test_a_batch_may_have_bytes_that_are_not_utf_8(tiny_tokenizer: Tokenizer) -> None:
    texts = ["x = 1\n", "name = '\udce9'\n"]
    assert tiny_tokenizer.encode_batch(texts) == [tiny_tokenizer.encode(text) for text in texts]


@given(data=any_bytes)
def test_any_bytes_come_back(tiny_tokenizer: Tokenizer, data: bytes) -> None:
    assert tiny_tokenizer.decode_bytes(tiny_tokenizer.encode_bytes(data)) == data


@settings(max_examples=30)
@example(data=bytes(range(256)))
@given(data=any_bytes)
def test_any_bytes_come_back_from_the_published_vocabulary(published: Tokenizer, data: bytes) -> None:
    assert published.decode_bytes(published.encode_bytes(data)) == data


@given(text=any_text)
def test_any_text_comes_back(tiny_tokenizer: Tokenizer, text: str) -> None:
    assert tiny_tokenizer.decode(tiny_tokenizer.encode(text)) == text


@given(text=any_text)
def test_text_and_its_bytes_have_the_same_ids(tiny_tokenizer: Tokenizer, text: str) -> None:
    assert tiny_tokenizer.encode_bytes(text.encode()) == tiny_tokenizer.encode(text)


@given(text=any_text)
def test_the_way_for_bytes_gives_the_ids_of_the_way_for_text(tiny_tokenizer: Tokenizer, text: str) -> None:
    # A byte that is no UTF-8, on a line of its own, sends all the rest the other way.
    line_end = tiny_tokenizer.encode("\n")
    lone_byte = tiny_tokenizer.encode_bytes(b"\xff")
    with_lone_byte = tiny_tokenizer.encode_bytes(text.encode() + b"x\n\xff")
    assert with_lone_byte == [*tiny_tokenizer.encode(text + "x"), *line_end, *lone_byte]


@given(data=any_bytes)
def test_escaped_bytes_in_text_encode_as_themselves(tiny_tokenizer: Tokenizer, data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    token_ids = tiny_tokenizer.encode(text)
    assert token_ids == tiny_tokenizer.encode_bytes(data)
    assert tiny_tokenizer.decode(token_ids, "surrogateescape") == text


def test_half_a_surrogate_pair_is_refused_with_its_place(tiny_tokenizer: Tokenizer) -> None:
    with pytest.raises(IncoderError, match=r"'\\ud800' at position 2"):
        tiny_tokenizer.encode("ab\ud800")


@given(text=any_text)
def test_no_text_makes_a_special_token(tiny_tokenizer: Tokenizer, text: str) -> None:
    assert all(tiny_tokenizer.special_token(token_id) is None for token_id in tiny_tokenizer.encode(text))


def test_special_tokens_are_recognised_for_who_asks(tiny_tokenizer: Tokenizer) -> None:
    token_ids = tiny_tokenizer.encode_with_special_tokens("<|endoftext|> <|mask:7|><|endofmask|>")
    assert token_ids == [
        2,
        *tiny_tokenizer.encode(" "),
        tiny_tokenizer.sentinel_ids[7],
        tiny_tokenizer.end_of_mask_id,
    ]
    assert tiny_tokenizer.encode("<|mask:7|>") != [tiny_tokenizer.sentinel_ids[7]]  # asking leaves no trace


def test_special_tokens_are_left_out_of_decoded_text(tiny_tokenizer: Tokenizer) -> None:
    token_ids = [
        2,
        *tiny_tokenizer.encode("a"),
        tiny_tokenizer.sentinel_ids[0],
        *tiny_tokenizer.encode(" b"),
        1,
    ]
    assert tiny_tokenizer.decode(token_ids) == "a b"
    assert tiny_tokenizer.token_bytes(tiny_tokenizer.end_of_mask_id) == b""


@given(text=any_text)
def test_no_token_crosses_a_line_end(tiny_tokenizer: Tokenizer, text: str) -> None:
    for token_id in tiny_tokenizer.encode(text):
        data = tiny_tokenizer.token_bytes(token_id)
        assert not data.strip(b"\r\n") or not set(data) & set(b"\r\n")


@pytest.mark.parametrize("token_id", [-1, 640])
def test_an_id_outside_of_the_vocabulary_is_refused(tiny_tokenizer: Tokenizer, token_id: int) -> None:
    with pytest.raises(IncoderError, match=rf"token ids must be in \[0, 640\), got {token_id}"):
        tiny_tokenizer.decode([token_id])


def test_saved_and_loaded_it_is_the_same(tiny_tokenizer: Tokenizer, tmp_path: Path) -> None:
    tiny_tokenizer.save(tmp_path / "new" / "folder")
    for path in (tmp_path / "new" / "folder", tmp_path / "new" / "folder" / "tokenizer.json"):
        loaded = Tokenizer.from_file(path)
        assert loaded.fingerprint == tiny_tokenizer.fingerprint
        assert loaded.encode("def f(): # <s>\r\n") == tiny_tokenizer.encode("def f(): # <s>\r\n")


def test_a_copy_in_another_process_takes_special_tokens_for_text(tiny_tokenizer: Tokenizer) -> None:
    copy = pickle.loads(pickle.dumps(tiny_tokenizer))
    assert copy.encode("<|mask:0|>") == tiny_tokenizer.encode("<|mask:0|>")
    assert copy.fingerprint == tiny_tokenizer.fingerprint


def test_fingerprints_tell_vocabularies_apart(tiny_tokenizer: Tokenizer, published: Tokenizer) -> None:
    assert tiny_tokenizer.fingerprint != published.fingerprint


@pytest.mark.parametrize("model_type", [None, "llama", "xglm"])
def test_transformers_loads_the_saved_folder(
    tiny_tokenizer: Tokenizer, tmp_path: Path, model_type: str | None
) -> None:
    tiny_tokenizer.save(tmp_path)
    if model_type is not None:  # as beside a checkpoint; transformers looks at it to choose a class
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    ours, theirs = tiny_tokenizer, AutoTokenizer.from_pretrained(tmp_path)
    text = 'def f(x):\n\t\treturn <s> x \r\n\r\n  é 🙂 <|mask:0|> , "a n\'t" .  '
    assert theirs(
        text, add_special_tokens=False, split_special_tokens=True
    ).input_ids == tiny_tokenizer.encode(text)
    # By default they recognise special tokens, and start the document, as with the published tokenizer.
    assert theirs(text).input_ids == [2, *ours.encode_with_special_tokens(text)]
    assert theirs.decode(ours.encode(text)) == text
    without_special_tokens = text.replace("<s>", "").replace("<|mask:0|>", "")
    assert theirs.decode(theirs(text).input_ids, skip_special_tokens=True) == without_special_tokens
    assert (len(theirs), theirs.pad_token_id, theirs.bos_token_id, theirs.eos_token_id) == (640, 1, 2, 2)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match=r"there is no tokenizer at .*tokenizer\.json"):
        Tokenizer.from_file(tmp_path)


@pytest.mark.parametrize("content", [b"not json", b"{}", b"\xff\xfe", b"[1]", b"[" * 200_000, b""])
def test_what_is_no_tokenizer_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(IncoderError, match="is not a tokenizer"):
        Tokenizer.from_file(tmp_path)


def test_a_tokenizer_without_sentinels_is_refused(tiny_tokenizer: Tokenizer, tmp_path: Path) -> None:
    tiny_tokenizer.save(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["added_tokens"] = content["added_tokens"][:4]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(IncoderError, match=r"cannot infill: it has no <\|mask:0\|> \(and 256 more\)"):
        Tokenizer.from_file(tmp_path)


@pytest.mark.parametrize(
    ("vocab", "merges", "message"),
    [
        ("{", "", "not JSON"),
        ("[]", "", "not a vocabulary"),
        ('{"a": "x"}', "", "not a vocabulary"),
        ('{"a": 0, "b": 2}', "", "not a vocabulary"),
        ('{"a": [0]}', "", "not a vocabulary"),
        ('{"a": false}', "", "not a vocabulary"),
        ("[" * 200_000, "", "nests"),
        ('{"a": 0}', "", r"cannot infill: it has no Ā \(and 254 more\)"),
        ('{"a": 0, "b": 1}', "a b c", "two tokens with one space"),
        ('{"a": 0, "b": 1}', "#version: 0.2\na b\n", "do not belong together"),
    ],
)
def test_a_broken_published_vocabulary_is_refused(
    tmp_path: Path, vocab: str, merges: str, message: str
) -> None:
    (tmp_path / "vocab.json").write_text(vocab)
    (tmp_path / "merges.txt").write_text(merges)
    with pytest.raises(IncoderError, match=message):
        Tokenizer.from_file(tmp_path)
