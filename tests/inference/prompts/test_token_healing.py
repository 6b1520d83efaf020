from itertools import accumulate

import pytest

from incoder.inference.text_vocabulary import TokenTable
from incoder.tokenizer.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def table(tiny_tokenizer: Tokenizer) -> TokenTable:
    return TokenTable(tiny_tokenizer)


def spellings(tokenizer: Tokenizer) -> list[bytes]:
    return [
        spelling for token_id in range(tokenizer.vocab_size) if (spelling := tokenizer.token_bytes(token_id))
    ]


@pytest.mark.parametrize(
    "data", [b"", b"i", b"    ", b"    re", b"\n", b"ret", b"zzzzzz", b"\xff", "漢".encode()[:1]]
)
def test_a_token_extends_bytes_when_it_begins_with_them_and_is_longer(
    data: bytes, table: TokenTable, tiny_tokenizer: Tokenizer
) -> None:
    expected = any(spelling.startswith(data) and spelling != data for spelling in spellings(tiny_tokenizer))
    assert table.extends(data) is expected


@pytest.mark.parametrize("required", [b"i", b"    ", b"    return s", b"\n", b"zzz", b"\xff\xfe"])
def test_allowed_tokens_are_those_that_agree_with_the_forced_bytes(
    required: bytes, table: TokenTable, tiny_tokenizer: Tokenizer
) -> None:
    expected = [
        token_id
        for token_id in range(tiny_tokenizer.vocab_size)
        if (spelling := tiny_tokenizer.token_bytes(token_id))
        and (spelling.startswith(required) or required.startswith(spelling))
    ]
    allowed = table.allowed_after(required).tolist()
    assert sorted(allowed) == expected
    assert len(set(allowed)) == len(allowed)


def test_permitted_tokens_are_found_by_their_beginnings(table: TokenTable, tiny_tokenizer: Tokenizer) -> None:
    def may_begin(data: bytes) -> bool:
        return b"return".startswith(data) or data.startswith(b"return")

    def is_permitted(data: bytes) -> bool:
        return may_begin(data) and data != b"re"

    expected = [
        token_id
        for token_id in range(tiny_tokenizer.vocab_size)
        if (spelling := tiny_tokenizer.token_bytes(token_id)) and is_permitted(spelling)
    ]
    assert expected
    found = table.permitted(may_begin, is_permitted, 1000)
    assert found is not None
    assert sorted(found) == expected
    assert table.permitted(may_begin, is_permitted, len(expected)) == found
    assert table.permitted(may_begin, is_permitted, len(expected) - 1) is None


def test_what_is_held_back_and_kept_is_the_prefix(table: TokenTable, tiny_tokenizer: Tokenizer) -> None:
    text = "import numpy as np\n\n\ndef mean(xs):\n    retu"
    token_ids = tiny_tokenizer.encode(text)
    kept, required = table.split_required_prefix(token_ids, len(text))
    assert token_ids[: len(kept)] == kept
    assert tiny_tokenizer.decode_bytes(kept) + required == text.encode()
    assert required == b"    retu"


def test_every_token_across_the_start_of_the_hole_can_still_come(
    table: TokenTable, tiny_tokenizer: Tokenizer
) -> None:
    """Wherever a text is cut, its own tokens up to the last whole one are kept, or fewer."""
    text = "def größe(text: str) -> int:\n    return len(text)\n\n\nfor x in range(10):\n    print(x)\n"
    data = text.encode()
    ends = {
        0,
        *accumulate(len(tiny_tokenizer.token_bytes(token_id)) for token_id in tiny_tokenizer.encode(text)),
    }
    for cut in range(len(data) + 1):
        kept, required = table.split_required_prefix(tiny_tokenizer.encode_bytes(data[:cut]), cut)
        assert cut - len(required) <= max(end for end in ends if end <= cut)
        assert tiny_tokenizer.decode_bytes(kept) + required == data[:cut]


def test_no_more_is_held_back_than_allowed(table: TokenTable, tiny_tokenizer: Tokenizer) -> None:
    token_ids = tiny_tokenizer.encode("x\n\n")
    assert table.split_required_prefix(token_ids, 0) == (token_ids, b"")
    assert table.split_required_prefix(token_ids, 1) == (
        token_ids,
        b"",
    )  # the token is two line ends: all or nothing


def test_nothing_is_held_back_from_nothing(table: TokenTable) -> None:
    assert table.split_required_prefix([], 0) == ([], b"")
