"""Token shards: a corpus as one long array of token ids, opened without reading it.

A folder holds for each split `{split}.tokens` (raw little-endian uint16, or uint32 for more than 65,536 ids),
`{split}.documents.npy` (where each document begins, and the end: int64 [num_documents + 1]),
`{split}.bytes.npy` (UTF-8 bytes of each document: int64 [num_documents]), `{split}.kinds.npy` (the place of
its kind in `KINDS`: uint8 [num_documents]), and `meta.json`. InCoder's documents begin with the document
start. Documents are encoded as they are trained on, attributes included, and are in the corpus's order:
training draws them in an order of its own.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from incoder.corpus.splits import SPLITS
from incoder.corpus.storage.commit import check_files
from incoder.errors import IncoderError
from incoder.files import read_json_object, sha256_of

META = "meta.json"
_COPIED_TOGETHER = 1 << 24  # bytes

KINDS = ("python", "code", "stackoverflow")  # what training can weigh: Python, other languages, threads


def write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """Write `meta.json` beside the files of all splits, with their SHA-256 and a fingerprint of it all."""
    committed = {**meta, "sha256": {path.name: sha256_of(path) for path in sorted(folder.iterdir())}}
    committed["fingerprint"] = _fingerprint_of(committed)
    (folder / META).write_text(json.dumps(committed, indent=1) + "\n", encoding="utf-8")


def check_shards(folder: Path, split: str) -> None:
    """Read all of one split and check that every byte is as it was encoded.

    Raises:
        IncoderError: a file of it, or `meta.json`, was changed.
    """
    meta = _read_meta(folder)
    if not isinstance(meta.get("sha256"), dict) or meta.get("fingerprint") != _fingerprint_of(meta):
        raise IncoderError(
            f"{folder / META} is not what was written: its fingerprint is another; encode the corpus again"
        )
    of_split = {name: digest for name, digest in meta["sha256"].items() if name.startswith(f"{split}.")}
    check_files(folder, of_split, META, "encode the corpus again")


class TokenShardWriter:
    """Writes one split document by document; the index is in memory, the tokens are not."""

    def __init__(self, folder: Path, split: str, dtype: np.dtype[Any]) -> None:
        self._folder, self._split, self._dtype = folder, split, dtype
        self._file = _tokens_file(folder, split).open("wb")
        self._ends = [0]
        self._num_bytes: list[int] = []
        self._kinds = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        np.save(_documents_file(self._folder, self._split), np.array(self._ends, dtype="<i8"))
        np.save(_bytes_file(self._folder, self._split), np.array(self._num_bytes, dtype="<i8"))
        np.save(_kinds_file(self._folder, self._split), np.frombuffer(self._kinds, dtype="u1"))

    def write(self, token_ids: Iterable[int], num_bytes: int, kind: str = KINDS[0]) -> None:
        tokens = np.array(token_ids, dtype=self._dtype)
        self._file.write(tokens.tobytes())
        self._ends.append(self._ends[-1] + len(tokens))
        self._num_bytes.append(num_bytes)
        self._kinds.append(KINDS.index(kind))

    def append(self, folder: Path, name: str) -> None:
        """Append all documents that another writer wrote into a folder under this name, in the same dtype."""
        with _tokens_file(folder, name).open("rb") as file:
            shutil.copyfileobj(file, self._file, _COPIED_TOGETHER)
        self._ends += (np.load(_documents_file(folder, name))[1:] + self._ends[-1]).tolist()
        self._num_bytes += np.load(_bytes_file(folder, name)).tolist()
        self._kinds += np.load(_kinds_file(folder, name)).tobytes()

    def counts(self) -> dict[str, int]:
        return {
            "num_documents": len(self._num_bytes),
            "num_tokens": self._ends[-1],
            "num_bytes": sum(self._num_bytes),
        }


class TokenShard:
    """One split, mapped into memory: only the documents that are asked for are read."""

    def __init__(
        self,
        tokens: np.ndarray[Any, Any],
        starts: np.ndarray[Any, Any],
        document_bytes: np.ndarray[Any, Any],
        kinds: np.ndarray[Any, Any] | None,
        *,
        source: tuple[Path, str],
        fingerprint: str,
        vocab_size: int,
        tokenizer_fingerprint: str,
        report_sha256: str | None,
    ) -> None:
        self._tokens, self._starts, self._document_bytes = tokens, starts, document_bytes
        self._kinds = kinds
        self._source = source
        self.fingerprint = fingerprint
        self.vocab_size = vocab_size
        self.tokenizer_fingerprint = tokenizer_fingerprint
        self.report_sha256 = report_sha256  # of the corpus's report.json; None in shards of earlier versions

    @classmethod
    def open(cls, folder: Path, split: str) -> Self:
        """Map one split ("train" or "validation").

        Raises:
            IncoderError: no shards there, or files that do not fit together.
        """
        assert split in SPLITS, split
        meta = _read_meta(folder)
        try:
            counts = meta["splits"][split]
            dtype = np.dtype(meta["dtype"]).newbyteorder("<")
            starts = np.load(_documents_file(folder, split), mmap_mode="r")
            document_bytes = np.load(_bytes_file(folder, split), mmap_mode="r")
            kinds = None  # in shards of earlier versions
            if _kinds_file(folder, split).exists():
                kinds = np.load(_kinds_file(folder, split), mmap_mode="r")
            tokens: np.ndarray[Any, Any] = np.empty(0, dtype)
            if counts["num_tokens"]:  # an empty file cannot be mapped
                tokens = np.memmap(_tokens_file(folder, split), dtype, mode="r")
            shard = cls(
                tokens,
                starts,
                document_bytes,
                kinds,
                source=(folder, split),
                fingerprint=meta["fingerprint"],
                vocab_size=meta["vocab_size"],
                tokenizer_fingerprint=meta["tokenizer_fingerprint"],
                report_sha256=meta.get("report_sha256"),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise IncoderError(
                f"the token shards in {folder} are damaged ({error}); encode them again"
            ) from error
        found = {"num_documents": len(starts) - 1, "num_tokens": len(tokens), "num_bytes": shard.num_bytes}
        if found != counts:
            raise IncoderError(
                f"the token shards in {folder} are damaged ({split} should have {counts} and has {found}); "
                "encode them again"
            )
        return shard

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenShard.open, self._source  # another process maps the files itself

    def only(self, indices: Sequence[int]) -> "TokenShard":
        """Return a shard of these documents alone, in memory; it does not travel to another process."""
        documents = [self.document(index).astype(self._tokens.dtype) for index in indices]
        return TokenShard(
            np.concatenate([*documents, self._tokens[:0]]),
            np.cumsum([0, *map(len, documents)]),
            self._document_bytes[indices],
            None if self._kinds is None else self._kinds[indices],
            source=self._source,
            fingerprint=self.fingerprint,
            vocab_size=self.vocab_size,
            tokenizer_fingerprint=self.tokenizer_fingerprint,
            report_sha256=self.report_sha256,
        )

    def __len__(self) -> int:
        return len(self._document_bytes)

    def document(self, index: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The token ids of one document, its document start first if the vocabulary has one."""
        start, end = self._starts[index], self._starts[index + 1]
        return np.asarray(self._tokens[start:end], dtype=np.int64)

    def document_num_tokens(self, index: int) -> int:
        """The number of token ids in the document."""
        return int(self._starts[index + 1] - self._starts[index])

    def document_num_bytes(self, index: int) -> int:
        """The number of bytes of the document's text in UTF-8."""
        return int(self._document_bytes[index])

    def weights(self, weight_of: Mapping[str, float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """The weight of each document by its kind; 1 for kinds without a weight.

        Raises:
            IncoderError: the shards are of a version without kinds.
        """
        if self._kinds is None:
            raise IncoderError("these token shards do not say what kind a document is; encode them again")
        weights: np.ndarray[tuple[int], np.dtype[np.float64]]
        weights = np.array([weight_of.get(kind, 1.0) for kind in KINDS])[self._kinds]
        return weights

    @property
    def num_tokens(self) -> int:
        return len(self._tokens)

    @property
    def num_bytes(self) -> int:
        return int(self._document_bytes.sum())


def _read_meta(folder: Path) -> dict[str, Any]:
    path = folder / META
    if not path.exists():
        raise IncoderError(
            f"there are no token shards in {folder}; "
            "make them with: incoder corpus encode CORPUS --tokenizer TOKENIZER"
        )
    try:
        return read_json_object(path)
    except IncoderError as error:
        raise IncoderError(f"{error}; encode the corpus again") from error


def _tokens_file(folder: Path, split: str) -> Path:
    return folder / f"{split}.tokens"


def _documents_file(folder: Path, split: str) -> Path:
    return folder / f"{split}.documents.npy"


def _kinds_file(folder: Path, split: str) -> Path:
    return folder / f"{split}.kinds.npy"


def _bytes_file(folder: Path, split: str) -> Path:
    return folder / f"{split}.bytes.npy"


def shard_names() -> list[str]:
    """The names of the files of all splits, which are in the folder of `meta.json`."""
    files = (_tokens_file, _documents_file, _bytes_file, _kinds_file)
    return [file(Path(), split).name for split in SPLITS for file in files]


def _fingerprint_of(meta: Mapping[str, Any]) -> str:
    """A digest of the data only: a corpus that is built again may have another report and equal documents."""
    data = {name: value for name, value in meta.items() if name not in ("fingerprint", "report_sha256")}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
