"""Tokens for human eyes: spaces and line ends made visible, special tokens by name."""

from incoder.tokenizer.tokenizer import Tokenizer

_VISIBLE = {" ": "·", "\n": "⏎", "\r": "␍", "\t": "⇥"}


def readable_piece(tokenizer: Tokenizer, token_id: int) -> str:
    r"""What the token says, on one line: `·` space, `⏎` line feed, `␍` carriage return, `⇥` tab.

    Bytes that are no whole character read `\xe2`, as do other characters that would not show.
    """
    name = tokenizer.special_token(token_id)
    if name is not None:
        return name
    text = tokenizer.token_bytes(token_id).decode("utf-8", "backslashreplace")
    return "".join(_VISIBLE.get(character) or _shown(character) for character in text)


def _shown(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
