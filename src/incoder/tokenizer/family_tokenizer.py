"""Published tokenizers of other families, from their `tokenizer.json`: byte-level BPE and SentencePiece's.

Text or bytes in, token ids out, and back to the same bytes, as in tokenizer.py. The ids are the family
tokenizer's, with two exceptions, both so that no byte of a text changes: text is not normalised (Qwen's
tokenizer composes characters), and added tokens are never recognised in a text (DeepSeek-Coder's tokenizer
finds bytes in ö and a dozen other letters). Knows no model, and not what the special tokens are for.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import takewhile
from typing import Any

import tokenizers

from incoder.errors import IncoderError, shown
from incoder.tokenizer import vocabulary_layout

_SPACE = "▁"  # U+2581: what SentencePiece writes for a space
_BYTE = re.compile("<0x([0-9A-F]{2})>")  # what it writes for a byte of a character that has no token
_MAX_VOCAB_SIZE = 1 << 21  # well above the largest published, some 300,000
_PRINTABLE = {ord("\t"), ord("\n"), *range(0x20, 0x7F)}  # the bytes that every vocabulary needs
_NEVER_IN_UTF_8 = {0xC0, 0xC1, *range(0xF5, 0x100)}


class FamilyTokenizer:
    """A vocabulary with its merges, as a `tokenizer.json` holds them, immutable.

    The tokens in `special_tokens` that the vocabulary has are special, and so are its added tokens.

    Raises:
        IncoderError: the tokenizer is of an unknown kind, or cannot spell every text.
    """

    pad_id = 0  # any id will do

    def __init__(self, content: Any, special_tokens: Collection[str] = ()) -> None:
        try:
            self._set_up(content, special_tokens)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise IncoderError(f"not a tokenizer.json of a known form: {error!r}") from error

    def _set_up(self, content: Mapping[str, Any], special_tokens: Collection[str]) -> None:
        model = content["model"]
        if model.get("type", "BPE") != "BPE":
            raise IncoderError(f"its model is {str(model['type'])[:80]}; only BPE is supported")
        self._is_byte_level = "ByteLevel" in _types(content.get("pre_tokenizer"))
        if not (self._is_byte_level or model.get("byte_fallback")):
            raise IncoderError("it is neither byte-level nor falls back to bytes: it cannot spell every text")
        added = {token["content"]: token["id"] for token in content.get("added_tokens") or ()}
        ids = {**model["vocab"], **added}
        for token, token_id in ids.items():
            if type(token_id) is not int or not 0 <= token_id < _MAX_VOCAB_SIZE:
                raise IncoderError(
                    f"its token {shown(token)} has the id {shown(token_id)}; ids are whole numbers from 0 to "
                    f"{_MAX_VOCAB_SIZE - 1:,}"
                )
        # DeepSeek-Coder adds the bytes that never occur in UTF-8 as tokens: its vocabulary lacks them.
        is_byte = (
            set(vocabulary_layout.BYTE_CHARACTERS) - model["vocab"].keys()
            if self._is_byte_level
            else set[str]()
        )
        special = {*(added.keys() - is_byte), *(ids.keys() & set(special_tokens))}
        self.special_ids: Mapping[str, int] = {name: ids[name] for name in special}
        self.vocab_size: int = max(ids.values()) + 1
        self.start_ids: tuple[int, ...] | None = _start_ids(content, ids)
        self._bytes_by_id = {
            token_id: b"" if token in special else self._bytes_of(token) for token, token_id in ids.items()
        }
        self._byte_ids: dict[int, int] = {
            byte: ids[token] for byte in range(256) if (token := self._byte_token(byte)) in ids
        }
        self._lacking = bytes(sorted(set(range(256)) - self._byte_ids.keys() - _NEVER_IN_UTF_8))
        # A vocabulary may lack bytes that were in no text of its training (SmolLM2 lacks 0x04 and 0xf1).
        needed = set(self._lacking) & (_PRINTABLE if self._is_byte_level else set(range(256)))
        if needed:
            raise IncoderError(f"it has no token for the byte {min(needed):#04x}")
        self._begins_with_a_space = not self._is_byte_level and _prepends_space(content)
        # Escaped bytes, and the character that would be decoded as a space.
        also = "" if self._is_byte_level else _SPACE
        self._unspelled = re.compile(f"([\udc80-\udcff{also}]+)")
        self._backend = _text_backend(content, special, self._is_byte_level)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the vocabulary with its merges and special tokens."""
        special = json.dumps(sorted(self.special_ids.items()))
        return hashlib.sha256(f"{self._backend.to_str()}\n{special}".encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Return the ids of a piece of a text; special tokens in it are ordinary text.

        Raises:
            IncoderError: a lone surrogate that represents no byte, or a byte that the vocabulary lacks.
        """
        token_ids: list[int] = []
        for index, piece in enumerate(self._unspelled.split(text)):
            if index % 2:
                token_ids += map(self._byte_id, piece.encode("utf-8", "surrogateescape"))
            elif piece:
                token_ids += self._encode_plain(piece)
        return token_ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text."""
        return [self.encode(text) for text in texts]

    def encode_start(self, text: str) -> list[int]:
        """Return the ids of the first piece of a document: SentencePiece puts a space before it."""
        return self.encode(" " + text if text and self._begins_with_a_space else text)

    def encode_bytes(self, data: bytes) -> list[int]:
        """Return the ids of any bytes; for valid UTF-8, the ids of the text."""
        return self.encode(data.decode("utf-8", "surrogateescape"))

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes of one id in the middle of a text; a special token and an unused id have none.

        Raises:
            IncoderError: an id outside of the vocabulary.
        """
        if not 0 <= token_id < self.vocab_size:
            raise IncoderError(f"token ids must be in [0, {self.vocab_size}), got {token_id}")
        return self._bytes_by_id.get(token_id, b"")

    def decode_bytes(self, token_ids: Iterable[int]) -> bytes:
        """Return the bytes of these ids, without special tokens."""
        return b"".join(map(self.token_bytes, token_ids))

    def decode(self, token_ids: Iterable[int], errors: str = "replace") -> str:
        """Return the text of these ids, without special tokens; `errors` as in `bytes.decode`."""
        return self.decode_bytes(token_ids).decode("utf-8", errors)

    def _encode_plain(self, text: str) -> list[int]:
        if self._lacking:  # the backend would leave such bytes out without an error
            self._refuse_lacking(text)
        spelled = text if self._is_byte_level else text.replace(" ", _SPACE)
        try:
            return self._backend.encode(spelled, add_special_tokens=False).ids
        except TypeError as error:  # the backend's error for a lone surrogate
            raise IncoderError("cannot encode half of a surrogate pair: it is not a character") from error

    def _refuse_lacking(self, text: str) -> None:
        """Raise if the text holds a byte that the vocabulary lacks."""
        data = text.encode("utf-8", "replace")  # the backend raises for lone surrogates
        if len(data.translate(None, self._lacking)) < len(data):
            byte = next(byte for byte in data if byte in self._lacking)
            raise IncoderError(
                f"the text holds the byte {byte:#04x}, for which the vocabulary has no token; remove its "
                "character from the text, or use another model"
            )

    def _byte_id(self, byte: int) -> int:
        if byte not in self._byte_ids:
            raise IncoderError(f"the vocabulary has no token for the byte {byte:#04x}, which UTF-8 lacks")
        return self._byte_ids[byte]

    def _byte_token(self, byte: int) -> str:
        return vocabulary_layout.BYTE_CHARACTERS[byte] if self._is_byte_level else f"<0x{byte:02X}>"

    def _bytes_of(self, token: str) -> bytes:
        if self._is_byte_level:
            is_spelled = all(character in vocabulary_layout.BYTE_CHARACTERS for character in token)
            return vocabulary_layout.bytes_of(token) if is_spelled else token.encode("utf-8")
        byte = _BYTE.fullmatch(token)
        return bytes([int(byte[1], 16)]) if byte else token.replace(_SPACE, " ").encode("utf-8")


def _text_backend(
    content: Mapping[str, Any], special: Collection[str], is_byte_level: bool
) -> tokenizers.Tokenizer:
    """Return the tokenizer of plain text: it never produces a special token, not even by merging."""
    model = dict(content["model"])
    vocab = {token: token_id for token, token_id in model["vocab"].items() if token not in special}
    merges = (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])
    # Code Llama's vocabulary has merges that produce its special tokens from text.
    model["merges"] = [(a, b) for a, b in merges if a in vocab and b in vocab and a + b in vocab]
    model |= {"vocab": vocab, "unk_token": None}
    plain: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": content["pre_tokenizer"] if is_byte_level else None,
        "post_processor": None,
        "decoder": None,
        "model": model,
    }
    try:
        return tokenizers.Tokenizer.from_str(json.dumps(plain))
    except Exception as error:  # the backend raises bare Exceptions
        raise IncoderError(f"not a tokenizer.json: {error}") from error


def _start_ids(content: Mapping[str, Any], ids: Mapping[str, int]) -> tuple[int, ...] | None:
    """Return the tokens that a `TemplateProcessing` puts before a text, or None without such a step."""
    step = content.get("post_processor")
    steps = (step, *step.get("processors", ())) if step else ()
    templates = [one for one in steps if one["type"] == "TemplateProcessing"]
    if not templates:
        return None
    before = takewhile(lambda part: "SpecialToken" in part, templates[-1]["single"])
    return tuple(ids[part["SpecialToken"]["id"]] for part in before)


def _prepends_space(content: Mapping[str, Any]) -> bool:
    """Whether the tokenizer puts a space before a text, in the forms that versions of `tokenizers` write."""
    pre_tokenizer = content.get("pre_tokenizer") or {}
    if pre_tokenizer.get("type") == "Metaspace":
        return bool(pre_tokenizer.get("prepend_scheme", "always") != "never")
    return "Prepend" in _types(content.get("normalizer"))


def _types(step: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield the types of a normaliser or pre-tokenizer and of its parts."""
    if step:
        yield step["type"]
        for part in (*step.get("normalizers", ()), *step.get("pretokenizers", ())):
            yield from _types(part)
