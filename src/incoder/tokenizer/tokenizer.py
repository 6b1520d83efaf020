"""Text or bytes in, token ids out, and back without losing a byte.

A byte-level BPE whose tokens may cross spaces but never a line end (paper, section 3.4). Special tokens in a
text are text, unless the caller asks to recognise them. Knows no model, and not what the sentinels are for
(see infilling_format.py).
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers

from incoder.errors import IncoderError
from incoder.files import MAX_JSON_BYTES, make_folder, parse_json, read_text, write_text
from incoder.tokenizer import vocabulary_layout

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


class Tokenizer:
    """A vocabulary with the layout of vocabulary_layout.py, immutable.

    Raises:
        IncoderError: a special token is missing, or its id is not the one of the layout.

    >>> tokenizer = model.tokenizer
    >>> tokenizer.decode(tokenizer.encode("x = 1\\n"))
    'x = 1\\n'
    """

    begin_of_sequence_id = vocabulary_layout.FRONT.index(vocabulary_layout.BEGIN_OF_SEQUENCE)
    pad_id = vocabulary_layout.FRONT.index(vocabulary_layout.PAD)
    document_start_id = vocabulary_layout.FRONT.index(vocabulary_layout.DOCUMENT_START)
    unknown_id = vocabulary_layout.FRONT.index(vocabulary_layout.UNKNOWN)
    start_ids = (document_start_id,)

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        problem = vocabulary_layout.problem_with(backend.get_vocab(with_added_tokens=True))
        if problem:
            raise IncoderError(
                f"this tokenizer cannot infill: {problem}; InCoder's vocabularies have <s>, <pad>, "
                "<|endoftext|> and <unk> as ids 0 to 3, and end with <|mask:0|> … <|mask:255|>, <|endofmask|>"
            )
        backend.encode_special_tokens = True
        self._backend = backend
        self.vocab_size: int = backend.get_vocab_size(with_added_tokens=True)
        self.end_of_mask_id = self.vocab_size - 1
        self.sentinel_ids = range(self.end_of_mask_id - vocabulary_layout.NUM_SENTINELS, self.end_of_mask_id)

    @classmethod
    def from_file(cls, path: Path) -> "Tokenizer":
        """Read a `tokenizer.json`, or a folder with one, or a folder with `vocab.json` and `merges.txt`.

        The published vocabulary has the last form; its ids count the BPE tokens alone and are moved up by
        four.

        Raises:
            IncoderError: there is no tokenizer, or it lacks InCoder's special tokens.
        """
        try:
            file = path / "tokenizer.json" if path.is_dir() else path
            is_published = file != path and not file.exists() and (path / "vocab.json").exists()
        except OSError as error:
            raise IncoderError(f"cannot read {path}: {error.strerror}") from error
        if is_published:
            backend = _read_published(path / "vocab.json", path / "merges.txt")
        else:
            backend = _parse(_read(file), file)
        try:
            return cls(backend)
        except IncoderError as error:
            raise IncoderError(f"{file}: {error}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        # For worker processes. The backend alone would recognise special tokens in text after unpickling.
        return _from_json, (self._backend.to_str(),)

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json` and the files that `transformers.AutoTokenizer` reads with it.

        Raises:
            IncoderError: the folder cannot be written.
        """
        special_tokens_map = {
            "bos_token": vocabulary_layout.DOCUMENT_START,
            "eos_token": vocabulary_layout.DOCUMENT_START,
            "pad_token": vocabulary_layout.PAD,
            "unk_token": vocabulary_layout.UNKNOWN,
        }
        config = {
            **special_tokens_map,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,  # decoding must return the encoded text
            "padding_side": "left",
        }
        make_folder(folder)
        contents = (self._backend.to_str(pretty=True) + "\n", _json(config), _json(special_tokens_map))
        for name, content in zip(FILES, contents, strict=True):
            write_text(folder / name, content)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the vocabulary, the merges and the rules: equal if the ids of every text are."""
        canonical = json.dumps(json.loads(self._backend.to_str()), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("utf-8")).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; special tokens in it are ordinary text.

        A lone surrogate (Python's `surrogateescape`) encodes as the byte that it represents.

        Raises:
            IncoderError: a lone surrogate that represents no byte.

        >>> tokenizer = model.tokenizer
        >>> [tokenizer.token_bytes(i) for i in tokenizer.encode("import numpy as np\\n")]
        [b'import numpy as np', b'\\n']
        """
        try:
            return self._backend.encode(text, add_special_tokens=False).ids
        except TypeError:  # a lone surrogate; to look for one first would slow down every other text
            return self.encode_bytes(_escaped_bytes(text))

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text. A line that occurs several times is encoded once.

        Raises:
            IncoderError: a lone surrogate that encodes no byte.
        """
        lines_of = [vocabulary_layout.LINES.findall(text) for text in texts]
        distinct = list(dict.fromkeys(line for lines in lines_of for line in lines))
        try:
            # No line end is inside a token, so a line has the same ids alone and in its text.
            encodings = self._backend.encode_batch_fast(distinct, add_special_tokens=False)
        except TypeError:  # a lone surrogate somewhere
            return [self.encode(text) for text in texts]
        ids_by_line = {line: encoding.ids for line, encoding in zip(distinct, encodings, strict=True)}
        return [[token_id for line in lines for token_id in ids_by_line[line]] for lines in lines_of]

    def encode_start(self, text: str) -> list[int]:
        """Return the same ids as `encode`: the first piece of a document is spelled like any other."""
        return self.encode(text)

    def encode_bytes(self, data: bytes) -> list[int]:
        r"""Return the ids of any bytes; for valid UTF-8, the ids of the text.

        >>> model.tokenizer.decode_bytes(model.tokenizer.encode_bytes(b"\xff\n"))
        b'\xff\n'
        """
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            return self._byte_backend.encode(
                vocabulary_layout.characters_of(data), add_special_tokens=False
            ).ids
        return self._backend.encode(text, add_special_tokens=False).ids

    def encode_with_special_tokens(self, text: str) -> list[int]:
        """Return the ids of a text in which `<|mask:0|>`, `<|endoftext|>` and the like are special tokens.

        Raises:
            IncoderError: a lone surrogate.

        >>> model.tokenizer.encode_with_special_tokens("<|endoftext|>")
        [2]
        """
        try:
            return self._recognising_backend.encode(text, add_special_tokens=False).ids
        except TypeError as error:
            raise IncoderError("a text with special tokens must not hold lone surrogates") from error

    def decode_bytes(self, token_ids: Iterable[int]) -> bytes:
        """Return the bytes of these ids, without special tokens.

        Raises:
            IncoderError: an id outside of the vocabulary.
        """
        bytes_by_id = self._bytes_by_id
        try:
            return b"".join([bytes_by_id[token_id] for token_id in token_ids])
        except KeyError as error:
            raise IncoderError(f"token ids must be in [0, {self.vocab_size}), got {error}") from error

    def decode(self, token_ids: Iterable[int], errors: str = "replace") -> str:
        """Return the text of these ids, without special tokens; `errors` as in `bytes.decode`.

        Raises:
            IncoderError: an id outside of the vocabulary.
        """
        return self.decode_bytes(token_ids).decode("utf-8", errors)

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes of one id; a special token has none.

        Raises:
            IncoderError: an id outside of the vocabulary.
        """
        return self.decode_bytes((token_id,))

    @cached_property
    def special_ids(self) -> Mapping[str, int]:
        """The ids of the special tokens, by name."""
        vocab = self._backend.get_vocab(with_added_tokens=True)
        return {name: vocab[name] for name in vocabulary_layout.SPECIAL_TOKENS}

    def special_token(self, token_id: int) -> str | None:
        """Return the name of a special token (`<|mask:0|>`), or None for an id that has bytes."""
        token = self._backend.id_to_token(token_id)
        return token if token in vocabulary_layout.SPECIAL_TOKENS else None

    @cached_property
    def _bytes_by_id(self) -> dict[int, bytes]:
        return {
            token_id: b"" if token in vocabulary_layout.SPECIAL_TOKENS else vocabulary_layout.bytes_of(token)
            for token, token_id in self._backend.get_vocab(with_added_tokens=True).items()
        }

    @cached_property
    def _byte_backend(self) -> tokenizers.Tokenizer:
        """The same merges over the characters that represent bytes, to encode what is not UTF-8."""
        backend = tokenizers.Tokenizer(self._backend.model)
        backend.pre_tokenizer = vocabulary_layout.character_pre_tokenizer()
        return backend

    @cached_property
    def _recognising_backend(self) -> tokenizers.Tokenizer:
        # A new one recognises special tokens: encode_special_tokens is not serialised.
        return tokenizers.Tokenizer.from_str(self._backend.to_str())


def _from_json(text: str) -> Tokenizer:
    return Tokenizer(tokenizers.Tokenizer.from_str(text))


def _escaped_bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise IncoderError(
            f"cannot encode {text[error.start]!r} at position {error.start}: "
            "half of a surrogate pair is not a character"
        ) from error


def _read(file: Path) -> str:
    if not os.path.lexists(file):
        raise IncoderError(
            f"there is no tokenizer at {file}; "
            "give a tokenizer.json, or a folder with one (or with vocab.json and merges.txt)"
        )
    try:
        return read_text(file, MAX_JSON_BYTES)
    except IncoderError as error:
        raise IncoderError(f"{file} is not a tokenizer: {error}") from error


def _parse(text: str, file: Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the backend raises bare Exceptions
        raise IncoderError(f"{file} is not a tokenizer.json: {error}") from error


def _read_published(vocab_file: Path, merges_file: Path) -> tokenizers.Tokenizer:
    vocab = parse_json(_read(vocab_file), vocab_file)
    if (
        not isinstance(vocab, dict)
        or not all(type(token_id) is int for token_id in vocab.values())
        or sorted(vocab.values()) != list(range(len(vocab)))
    ):
        raise IncoderError(
            f"{vocab_file} is not a vocabulary: one object of tokens with ids from 0 up, each once"
        )
    bpe_tokens = sorted(vocab, key=vocab.__getitem__)
    lines = _read(merges_file).split("\n")
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    if any(len(merge) != 2 for merge in merges):
        raise IncoderError(f"{merges_file}: every line must be two tokens with one space between them")
    try:
        return vocabulary_layout.assemble(bpe_tokens, merges)  # type: ignore[arg-type]
    except Exception as error:  # the backend raises bare Exceptions
        raise IncoderError(f"{vocab_file} and {merges_file} do not belong together: {error}") from error


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
