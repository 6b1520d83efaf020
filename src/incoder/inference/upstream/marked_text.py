"""Prompts as text, for a server whose tokenizer is not on this machine.

The infilling formats of model families are written in tokens. Without a vocabulary, every byte is a token of
its own, and each special token is one that is spelled by its name. So windows are cut by bytes, and nothing
can be healed or scored. Imports no torch.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from incoder.errors import IncoderError, shown
from incoder.tokenizer.fill_in_the_middle import FAMILIES
from incoder.tokenizer.formats import InfillingFormat, choose_format
from incoder.tokenizer.text_tokenizer import TextTokenizer

BYTES_PER_TOKEN = 2  # fewer than code has (3 and more), so that a window in bytes always fits in tokens

_SUFFIX = "<suffix>"  # begins the suffix, and
_PREFIX = "<prefix>"  # the prefix, in prompts for a server that has a field for the suffix
_END = "<end>"
_FAMILY_NAMES = {  # how the names of published models begin, without their owner
    "codellama": "codellama",
    "deepseek-coder": "deepseek-coder",
    "qwen2.5-coder": "qwen2.5-coder",
    "qwen3-coder": "qwen2.5-coder",
    "mellum": "mellum",
    "starcoder": "starcoder",
    "seed-coder": "seed-coder",
    "codestral": "codestral",
}


class ByteTokenizer:
    """Bytes as ids below 256, and these special tokens after them; a `TextTokenizer`.

    >>> tokenizer = ByteTokenizer(["<mid>"])
    >>> tokenizer.encode("é"), tokenizer.special_ids
    ([195, 169], {'<mid>': 256})
    """

    start_ids: tuple[int, ...] | None = None

    def __init__(self, special_tokens: Iterable[str]) -> None:
        self.special_ids: Mapping[str, int] = {name: 256 + index for index, name in enumerate(special_tokens)}
        self.vocab_size = 256 + len(self.special_ids)

    def encode(self, text: str) -> list[int]:
        """Return the bytes of a text.

        Raises:
            IncoderError: a lone surrogate that represents no byte.
        """
        try:
            return list(text.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError as error:
            raise IncoderError("cannot encode half of a surrogate pair: it is not a character") from error

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text."""
        return [self.encode(text) for text in texts]

    def encode_start(self, text: str) -> list[int]:
        """`encode`."""
        return self.encode(text)

    def encode_bytes(self, data: bytes) -> list[int]:
        """Return the bytes."""
        return list(data)

    def token_bytes(self, token_id: int) -> bytes:
        """Return the byte of an id; special tokens have none."""
        return bytes([token_id]) if token_id < 256 else b""

    def decode_bytes(self, token_ids: Iterable[int]) -> bytes:
        """Return the bytes of these ids."""
        return bytes(one for one in token_ids if one < 256)

    def decode(self, token_ids: Iterable[int], errors: str = "replace") -> str:
        """Return the text of these ids."""
        return self.decode_bytes(token_ids).decode("utf-8", errors)


class SuffixFieldFormat:
    """Prompts for a server with a `suffix` of its own: prefix and suffix, separated by markers."""

    name = "suffix"
    max_num_holes = 1
    reads_attributes = False
    reads_repositories = False
    document_start_id = None

    def __init__(self, tokenizer: ByteTokenizer) -> None:
        self._suffix, self._prefix = tokenizer.special_ids[_SUFFIX], tokenizer.special_ids[_PREFIX]
        self.end_of_infill_id = tokenizer.special_ids[_END]
        self.end_of_infill_ids = frozenset({self.end_of_infill_id})
        self.never_generated_ids = frozenset({self._suffix, self._prefix})

    def prompt(self, parts: Sequence[Sequence[int]], *, is_start: bool = True) -> list[int]:
        """Return the suffix, then the prefix, whose end the infill continues."""
        del is_start
        if len(parts) < 2:
            return list(parts[0])
        prefix, suffix = parts
        return [self._suffix, *suffix, self._prefix, *prefix]

    def hole_start(self, hole: int) -> list[int]:
        """Return nothing: the prompt ends where its only infill begins."""
        assert hole == 0
        return []

    def context(
        self, files: Mapping[str, str], path: str, repository: str, encode: Callable[[str], list[int]]
    ) -> tuple[list[int], str]:
        raise AssertionError(f"no context for {path} in {repository} of {files}, by {encode}")

    def split(self, token_ids: Sequence[int]) -> tuple[Sequence[int], Sequence[int] | None]:
        """Return the prompt and the suffix of the bodies, from the ids of a prompt; None for no suffix."""
        if self._suffix not in token_ids:
            return token_ids, None
        middle = token_ids.index(self._prefix)
        return token_ids[middle + 1 :], token_ids[1:middle]


def text_format(model: str, name: str | None, *, has_suffix: bool) -> tuple[ByteTokenizer, InfillingFormat]:
    """Return how to write prompts as text: by the format's name, the server's `suffix`, or the model's name.

    A server's `suffix` is preferred to the model's name, because the server knows its model's format.

    Raises:
        IncoderError: there is no such format, or it is not one of text.

    >>> text_format("Qwen/Qwen2.5-Coder-7B", None, has_suffix=False)[1].name
    'qwen2.5-coder'
    """
    family_name = None if name is None else name.removesuffix("-spm")
    if name is None and has_suffix:
        tokenizer = ByteTokenizer([_SUFFIX, _PREFIX, _END])
        return tokenizer, SuffixFieldFormat(tokenizer)
    if name is None:
        own = model.rpartition("/")[2].lower()
        family_name = next((value for key, value in _FAMILY_NAMES.items() if own.startswith(key)), None)
    family = next((one for one in FAMILIES if one.name == family_name), None)
    if family is None:
        if name is not None:
            known = ", ".join(one.name for one in FAMILIES)
            raise IncoderError(
                f"without a tokenizer, prompts are text, which has no infilling format {shown(name)}; the "
                f"formats are {known}. Or give the model's tokenizer"
            )
        tokenizer = ByteTokenizer(())
        return tokenizer, choose_format(tokenizer)
    also = (family.repository, family.file)
    names = dict.fromkeys([*family.tokens, *family.ends, *(one for one in also if one is not None)])
    tokenizer = ByteTokenizer(names)
    return tokenizer, choose_format(tokenizer, name or family.name)


def as_text(
    token_ids: Sequence[int], tokenizer: TextTokenizer, *, document_start_id: int | None = None
) -> str:
    """Return a prompt as text, special tokens by name, without the token that servers put first themselves.

    Bytes that are not UTF-8 become U+FFFD.

    Raises:
        IncoderError: the text has the name of a special token, which the server would take for the token.
    """
    # Code Llama's markers begin with a space, which SentencePiece spells ▁.
    names = {token_id: name.replace("▁<", " <") for name, token_id in tokenizer.special_ids.items()}
    if token_ids and token_ids[0] == document_start_id:
        token_ids = token_ids[1:]
    spelled = sorted((name.strip() for name in names.values()), key=len, reverse=True)
    named = re.compile("|".join(map(re.escape, spelled)) or "(?!)")
    written, run = [], list[int]()
    for token_id in (*token_ids, None):
        if token_id is not None and token_id not in names:
            run.append(token_id)
            continue
        text = tokenizer.decode(run)
        found = named.search(text)
        if found is not None:
            raise IncoderError(
                f"the text has {shown(found[0])}, which is a special token of the model in a prompt of text; "
                "give the model's tokenizer, or an upstream that takes token ids"
            )
        written.append(text + ("" if token_id is None else names[token_id]))
        run = []
    return "".join(written)
