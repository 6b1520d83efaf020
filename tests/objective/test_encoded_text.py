from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incoder.errors import IncoderError
from incoder.objective.encoded_text import EncodedText
from incoder.tokenizer.tokenizer import Tokenizer

PIECES = [
    "import ",
    "numpy",
    "    return ",
    "self",
    "\n",
    "\n\n",
    "\r\n",
    "é",
    "🙂",
    "x",
    " ",
    "(",
    "):",
    "def ",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=20).map(lambda pieces: "".join(pieces).encode())


def encoded(data: bytes, tokenizer: Tokenizer) -> EncodedText:
    return EncodedText(np.array(tokenizer.encode_bytes(data), np.int64), tokenizer)


@given(data=TEXTS | st.binary(max_size=30), raw_edges=st.lists(st.integers(0, 200), max_size=6))
def test_cut_pieces_have_the_tokens_they_have_by_themselves(
    tiny_tokenizer: Tokenizer, data: bytes, raw_edges: list[int]
) -> None:
    edges = [0, *sorted(edge % (len(data) + 1) for edge in raw_edges), len(data)]
    pieces = encoded(data, tiny_tokenizer).cut(edges)
    assert pieces == [tiny_tokenizer.encode_bytes(data[start:end]) for start, end in pairwise(edges)]


def test_only_the_cut_line_is_encoded_again(tiny_tokenizer: Tokenizer) -> None:
    # As no encoder would write it: byte by byte. What is not cut stays like that.
    lines = [b"import os", b"\n", b"import os", b"\n", b"import os"]
    token_ids = [tiny_tokenizer.encode_bytes(bytes([byte]))[0] for byte in b"".join(lines[:2])]
    token_ids += tiny_tokenizer.encode_bytes(lines[2])
    assert len(tiny_tokenizer.encode_bytes(lines[2])) < 9
    token_ids += [tiny_tokenizer.encode_bytes(bytes([byte]))[0] for byte in b"".join(lines[3:])]
    before, after = EncodedText(np.array(token_ids), tiny_tokenizer).cut([0, 10 + 3, 29])
    assert before == token_ids[:10] + tiny_tokenizer.encode("imp")
    assert after == tiny_tokenizer.encode("ort os") + token_ids[-10:]


def test_an_edge_inside_a_run_of_newlines_cuts_that_run(tiny_tokenizer: Tokenizer) -> None:
    data = b"x\n\ny"
    assert len(tiny_tokenizer.encode_bytes(data)) == 3
    pieces = encoded(data, tiny_tokenizer).cut([0, 2, 4])
    assert pieces == [tiny_tokenizer.encode("x\n"), tiny_tokenizer.encode("\ny")]


def test_character_borders_are_between_characters(tiny_tokenizer: Tokenizer) -> None:
    assert encoded("aé🙂\n".encode(), tiny_tokenizer).character_borders.tolist() == [0, 1, 3, 7, 8]
    assert encoded(b"", tiny_tokenizer).character_borders.tolist() == [0]
    # A block may begin inside of a character: its ends are borders anyway.
    assert encoded("é".encode()[1:] + b"a", tiny_tokenizer).character_borders.tolist() == [0, 1, 2]


@given(data=st.binary(max_size=30))
def test_borders_rise_from_0_to_the_end(tiny_tokenizer: Tokenizer, data: bytes) -> None:
    text = encoded(data, tiny_tokenizer)
    assert text.data == data
    for borders in (text.token_borders, text.character_borders):
        assert (borders[0], borders[-1]) == (0, len(data))
        assert (np.diff(borders) > 0).all()


def test_special_tokens_in_the_text_are_refused(tiny_tokenizer: Tokenizer) -> None:
    with pytest.raises(IncoderError, match=r"no special tokens but the first, got <\|mask:0\|>"):
        EncodedText(np.array([70, tiny_tokenizer.sentinel_ids[0]]), tiny_tokenizer)
