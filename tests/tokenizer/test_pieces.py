from incoder.tokenizer.pieces import readable_piece
from incoder.tokenizer.tokenizer import Tokenizer


def test_what_would_not_show_is_shown(tiny_tokenizer: Tokenizer) -> None:
    token_ids = tiny_tokenizer.encode_bytes(b" \t#\r\n\x00\xe2\n")
    assert "".join(readable_piece(tiny_tokenizer, i) for i in token_ids) == r"·⇥#␍⏎\x00\xe2⏎"


def test_special_tokens_go_by_their_names(tiny_tokenizer: Tokenizer) -> None:
    assert readable_piece(tiny_tokenizer, 2) == "<|endoftext|>"
    assert readable_piece(tiny_tokenizer, tiny_tokenizer.sentinel_ids[3]) == "<|mask:3|>"
