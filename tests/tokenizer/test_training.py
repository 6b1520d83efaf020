import pytest

from incoder.errors import IncoderError
from incoder.tokenizer.training import train_tokenizer

DOCUMENTS = [f"<| file ext=.py |>\nimport numpy as np\n\n\nx = {i % 7}\r\n\r\n" for i in range(50)]


def test_tokens_cross_spaces_and_newline_runs_are_one_token() -> None:
    tokenizer = train_tokenizer(DOCUMENTS, vocab_size=560)
    assert [tokenizer.token_bytes(i) for i in tokenizer.encode("import numpy as np\n\n\n")] == [
        b"import numpy as np",
        b"\n\n\n",
    ]
    assert len(tokenizer.encode("<| file ext=.py |>\r\n\r\n")) == 2


def test_the_vocabulary_has_the_size_and_the_layout_asked_for() -> None:
    tokenizer = train_tokenizer(DOCUMENTS, vocab_size=530)
    assert tokenizer.vocab_size == 530
    assert tokenizer.sentinel_ids == range(273, 529)
    assert tokenizer.end_of_mask_id == 529
    assert sorted(tokenizer.token_bytes(i) for i in range(4, 260)) == [bytes([i]) for i in range(256)]
    assert len({tokenizer.token_bytes(i) for i in range(4, 273)}) == 269


def test_training_twice_gives_the_same_tokenizer() -> None:
    first, second = (train_tokenizer(iter(DOCUMENTS), vocab_size=540) for _ in range(2))
    assert first.fingerprint == second.fingerprint


def test_the_seed_chooses_the_sample() -> None:
    documents = [f"{word}{word}\n" * 9 for word in ("ab", "cd", "ef", "gh", "ij", "kl")]
    first, second = (
        train_tokenizer(documents, vocab_size=518, max_sample_bytes=50, seed=seed) for seed in (0, 1)
    )
    assert first.fingerprint != second.fingerprint


def test_no_token_spells_a_special_token() -> None:
    text = "<s> <pad> <|endoftext|> <|mask:1|> <|endofmask|> <unk>"
    documents = [line for token in text.split() for line in [f"{token}\n", f"{token}{token}\n"] * 9]
    tokenizer = train_tokenizer(documents, vocab_size=540)
    assert all(tokenizer.special_token(i) is None for i in tokenizer.encode(text))
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert [tokenizer.token_bytes(i) for i in tokenizer.encode("<s>")] in ([b"<", b"s>"], [b"<s", b">"])
    assert tokenizer.special_token(0) == "<s>"


def test_tokens_are_no_longer_than_allowed() -> None:
    tokenizer = train_tokenizer(["abc\nabcd\n"] * 9, vocab_size=519, max_token_length=3)
    assert [tokenizer.token_bytes(i) for i in (260, 261)] == [b"ab", b"abc"]
    with pytest.raises(IncoderError, match="yields only 519 tokens"):
        train_tokenizer(["abc\nabcd\n"] * 9, vocab_size=520, max_token_length=3)


def test_a_vocabulary_without_room_for_the_bytes_is_refused() -> None:
    with pytest.raises(IncoderError, match=r"vocab_size must be at least 517 .*, got 516"):
        train_tokenizer(DOCUMENTS, vocab_size=516)
    assert train_tokenizer([], vocab_size=517).decode([4]) == "!"


def test_too_little_text_is_an_error_that_says_how_far_it_went() -> None:
    with pytest.raises(IncoderError, match="sample of 6 characters yields only 518 tokens, not 600"):
        train_tokenizer(["ab\nab\n"], vocab_size=600)
