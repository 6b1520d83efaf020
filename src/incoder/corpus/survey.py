"""Counts of a corpus's documents by language and source, and by length.

One row group is in memory at a time. Tokens are counted if the corpus is encoded.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from incoder.corpus.report import read_report
from incoder.corpus.splits import SPLITS
from incoder.corpus.storage.documents import MANIFEST, DocumentFile, documents_files
from incoder.corpus.storage.token_shards import META, TokenShard
from incoder.corpus.text.languages import LANGUAGES, extension_of
from incoder.files import sha256_of

TOKENS = "tokens"
_NAMES = ["path", "source", "text"]


@dataclass(slots=True)
class Share:
    """The documents of one language and source; `num_tokens` is None if the corpus is not encoded."""

    num_documents: int = 0
    num_bytes: int = 0
    num_tokens: int | None = None


@dataclass(slots=True)
class Survey:
    """`shares` by (language, source); `lengths` counts documents by the power of two below their bytes."""

    shares: defaultdict[tuple[str, str], Share] = field(default_factory=lambda: defaultdict(Share))
    lengths: Counter[int] = field(default_factory=Counter)

    @property
    def num_bytes(self) -> int:
        return sum(share.num_bytes for share in self.shares.values())


def survey(corpus: Path, on_documents: Callable[[int], None] | None = None) -> Survey:
    """Count a finished corpus's documents; `on_documents` gets the number of documents in each row group.

    Raises:
        IncoderError: there is no finished corpus, or a file of it is damaged.
    """
    import pyarrow.compute as pc

    read_report(corpus)  # raises if there is none
    found = Survey()
    for split in SPLITS:
        shard, place = _shard(corpus, split), 0
        for path in documents_files(corpus, split):
            with DocumentFile(path) as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, columns=_NAMES)
                    sizes = pc.binary_length(table.column("text")).to_pylist()
                    names = (table.column(name).to_pylist() for name in ("path", "source"))
                    for name, source, num_bytes in zip(*names, sizes, strict=True):
                        language = LANGUAGES.get(extension_of(name), "other")
                        share = found.shares[language, source]
                        share.num_documents += 1
                        share.num_bytes += num_bytes
                        if shard is not None:
                            share.num_tokens = (share.num_tokens or 0) + shard.document_num_tokens(place)
                        found.lengths[num_bytes.bit_length()] += 1
                        place += 1
                    if on_documents is not None:
                        on_documents(table.num_rows)
    return found


def _shard(corpus: Path, split: str) -> TokenShard | None:
    """The corpus's token shards; None if there are none of this build."""
    folder = corpus / TOKENS
    if not (folder / META).exists():
        return None
    shard = TokenShard.open(folder, split)
    return shard if shard.report_sha256 == sha256_of(corpus / MANIFEST) else None
