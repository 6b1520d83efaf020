"""The order of ids in a vocabulary: four special tokens, the BPE tokens, 256 sentinels and the end-of-mask.

It is the order of the published InCoder vocabulary (paper, section 3.4, and the authors' code); tokenizers
that this package trains have it, too. Also the pre-tokenizer, and the table between bytes and the characters
that represent them in a byte-level vocabulary. Knows no files and encodes nothing.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from tokenizers.pre_tokenizers import PreTokenizer

BEGIN_OF_SEQUENCE = "<s>"
PAD = "<pad>"
DOCUMENT_START = "<|endoftext|>"
UNKNOWN = "<unk>"
FRONT = (BEGIN_OF_SEQUENCE, PAD, DOCUMENT_START, UNKNOWN)  # ids 0–3

NUM_SENTINELS = 256
SENTINELS = tuple(f"<|mask:{i}|>" for i in range(NUM_SENTINELS))
END_OF_MASK = "<|endofmask|>"
BACK = (*SENTINELS, END_OF_MASK)  # the last 257 ids

SPECIAL_TOKENS = frozenset((*FRONT, *BACK))
NUM_SPECIAL_TOKENS = len(SPECIAL_TOKENS)
MIN_VOCAB_SIZE = NUM_SPECIAL_TOKENS + 256  # a byte-level vocabulary holds every byte


# The pieces of `text_pre_tokenizer`: a run of line ends, or what is between two runs.
LINES = re.compile(r"[\r\n]+|[^\r\n]+")


def _byte_characters() -> tuple[str, ...]:
    """GPT-2's table: a printable Latin-1 byte is its own character, the other 68 bytes are U+0100 onwards."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (chr(code) for code in range(0x100, 0x200))
    return tuple(chr(byte) if byte in printable else next(others) for byte in range(256))


BYTE_CHARACTERS = _byte_characters()
_CHARACTER_OF_LATIN_1 = {chr(byte): character for byte, character in enumerate(BYTE_CHARACTERS)}
_TO_CHARACTERS = str.maketrans(_CHARACTER_OF_LATIN_1)
_TO_LATIN_1 = str.maketrans({character: latin for latin, character in _CHARACTER_OF_LATIN_1.items()})


def characters_of(data: bytes) -> str:
    """Return the characters that represent these bytes in the vocabulary.

    >>> characters_of(b" def\\n")
    'ĠdefĊ'
    """
    return data.decode("latin-1").translate(_TO_CHARACTERS)


def bytes_of(characters: str) -> bytes:
    """Return the bytes that a vocabulary entry represents.

    >>> bytes_of("ĠdefĊ")
    b' def\\n'
    """
    return characters.translate(_TO_LATIN_1).encode("latin-1")


def text_pre_tokenizer() -> PreTokenizer:
    """Split a text into runs of line ends and the runs of all else between them.

    >>> [piece for piece, _ in text_pre_tokenizer().pre_tokenize_str("import os\\n\\nx = 1")]
    ['importĠos', 'ĊĊ', 'xĠ=Ġ1']
    """
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("[\r\n]+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def character_pre_tokenizer() -> PreTokenizer:
    """Split in the same places a text that `characters_of` has already converted."""
    line_ends = characters_of(b"\r\n")
    return pre_tokenizers.Split(Regex(f"[{line_ends}]+"), "isolated")


def assemble(bpe_tokens: Sequence[str], merges: Iterable[tuple[str, str]]) -> Tokenizer:
    """Return the tokenizer in which `bpe_tokens[i]` has the id i + 4, between the special tokens.

    `bpe_tokens` must contain no special token, or two tokens would share an id.
    """
    vocab = {token: token_id for token_id, token in enumerate((*FRONT, *bpe_tokens))}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=list(merges)))
    tokenizer.pre_tokenizer = text_pre_tokenizer()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in (*FRONT, *BACK)])
    # For `transformers`, as in the published tokenizer: every text is a document and begins with its start.
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{DOCUMENT_START} $A",
        pair=f"{DOCUMENT_START} $A {DOCUMENT_START} $B",
        special_tokens=[(DOCUMENT_START, FRONT.index(DOCUMENT_START))],
    )
    return tokenizer


def problem_with(vocab: Mapping[str, int]) -> str | None:
    """Return the first way in which a vocabulary (token → id) breaks this layout, or None.

    >>> problem_with({"<s>": 0, "<pad>": 1})
    'it has no <|endoftext|> (and 514 more)'
    """
    missing = [token for token in (*FRONT, *BACK, *BYTE_CHARACTERS) if token not in vocab]
    if missing:
        return f"it has no {missing[0]}" + (f" (and {len(missing) - 1} more)" if len(missing) > 1 else "")
    back = enumerate(BACK, start=len(vocab) - len(BACK))
    for token_id, token in (*enumerate(FRONT), *back):
        if vocab[token] != token_id:
            return f"{token} has the id {vocab[token]} instead of {token_id}"
    return None
