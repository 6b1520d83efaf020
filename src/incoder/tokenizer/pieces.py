"""Tokens as people read them: spaces and line ends are visible, special tokens have their names."""

from incoder.tokenizer.tokenizer import Tokenizer

_VISIBLE = {" ": "·", "\n": "⏎", "\r": "␍", "\t": "⇥"}


def readable_piece(tokenizer: Tokenizer, token_id: int) -> str:
    r"""Return a token on one line: `·` is a space, `⏎` a line feed, `␍` a carriage return, `⇥` a tab.

    Bytes that are not a whole character are written `\xe2`, and so are characters that do not print.

    >>> [readable_piece(model.tokenizer, i) for i in model.tokenizer.encode("if x:\n")]
    ['if·', 'x', ':', '⏎']
    """
    name = tokenizer.special_token(token_id)
    if name is not None:
        return name
    text = tokenizer.token_bytes(token_id).decode("utf-8", "backslashreplace")
    return "".join(_VISIBLE.get(character) or _shown(character) for character in text)


def _shown(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
