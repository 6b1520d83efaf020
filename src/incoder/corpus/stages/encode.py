"""The stage of encoding: reads row groups of a file of documents; writes a shard of their token ids."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from incoder.corpus.engine.stage import OnBytes
from incoder.corpus.engine.work_folder import DamagedWorkError, load, save
from incoder.corpus.stages.run_paths import encoded_digests_file, encoded_name, encoder_file
from incoder.corpus.storage.documents import read_file
from incoder.corpus.storage.token_shards import TokenShardWriter
from incoder.corpus.text.attributes import render
from incoder.corpus.text.languages import LANGUAGES, extension_of
from incoder.document import Document
from incoder.files import sha256_of


class Encoder(Protocol):
    """A picklable encoder from text to token ids: a tokenizer, or something faster with the same ids."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def document_start_ids(self) -> tuple[int, ...]: ...
    def encode(self, text: str) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class RowGroups:
    """Consecutive row groups of one file; `num_bytes` is their size before compression."""

    split: str
    path: Path
    numbers: range
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Encode:
    """The work of this stage: the row groups of one entry of `inputs` per task."""

    run: Path
    inputs: tuple[RowGroups, ...]
    seed: int
    dtype: str

    def __call__(self, task: int, on_bytes: OnBytes) -> None:
        encoder: Encoder = load(encoder_file(self.run))
        given, (folder, name) = self.inputs[task], encoded_name(self.run, task)
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            with TokenShardWriter(Path(temporary), name, np.dtype(self.dtype)) as writer:
                for document in read_file(given.path, given.numbers):
                    text = render(document, self.seed)
                    num_bytes = len(text.encode())
                    token_ids = [*encoder.document_start_ids, *encoder.encode(text)]
                    writer.write(token_ids, num_bytes, _kind_of(document))
                    on_bytes(num_bytes)
            digests = {path.name: sha256_of(path) for path in Path(temporary).iterdir()}
            for file_name in digests:
                (Path(temporary) / file_name).replace(folder / file_name)
        save(digests, encoded_digests_file(self.run, task))

    def is_whole(self, task: int) -> bool:
        """Whether the task's files are as they were written: damage would become part of the shards."""
        folder, _ = encoded_name(self.run, task)
        try:
            digests: dict[str, str] = load(encoded_digests_file(self.run, task))
            return all(sha256_of(folder / name) == digest for name, digest in digests.items())
        except (DamagedWorkError, OSError):
            return False


def _kind_of(document: Document) -> str:
    if document.source == "stackoverflow":
        return "stackoverflow"
    return "python" if LANGUAGES.get(extension_of(document.path)) == "Python" else "code"
