import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from incoder.corpus import encoding
from incoder.corpus.build import build_corpus
from incoder.corpus.encoding import encode_corpus
from incoder.corpus.engine import running
from incoder.corpus.engine.stage import Stage
from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import read_report
from incoder.corpus.storage import documents
from incoder.corpus.storage.documents import DocumentFile, DocumentWriter, read_documents
from incoder.corpus.storage.token_shards import TokenShard, check_shards
from incoder.corpus.text.attributes import render
from incoder.errors import IncoderError
from incoder.files import sha256_of

pytestmark = pytest.mark.usefixtures("encode_here")


@dataclass(frozen=True)
class ByteEncoder:
    """One id for each byte, after four special ones."""

    vocab_size: int = 260
    fingerprint: str = "bytes"
    document_start_ids: tuple[int, ...] = (2,)

    def encode(self, text: str) -> list[int]:
        return [byte + 4 for byte in text.encode()]


@pytest.fixture
def corpus(write_files: Callable[..., Path], recipe: Callable[..., CorpusRecipe], tmp_path: Path) -> Path:
    write_files({"one/a.py": "value = 1\n", "one/b.py": "größe = 2\n", "two/c.py": "value = 3\n"})
    build_corpus(recipe(seed=5, validation_projects=["two"]), tmp_path / "corpus")
    return tmp_path / "corpus"


@pytest.mark.parametrize(("vocab_size", "dtype"), [(1 << 16, "uint16"), ((1 << 16) + 1, "uint32")])
def test_every_document_comes_back_with_its_start(
    corpus: Path, tmp_path: Path, vocab_size: int, dtype: str
) -> None:
    encoder = ByteEncoder(vocab_size)
    encode_corpus(corpus, encoder, tmp_path / "tokens")
    for split in ("train", "validation"):
        shard = TokenShard.open(tmp_path / "tokens", split)
        texts = [render(document, 5) for document in read_documents(corpus, split)]
        assert len(shard) == len(texts)
        for index, text in enumerate(texts):
            assert shard.document(index).dtype == np.int64
            assert shard.document(index).tolist() == [2, *encoder.encode(text)]
            assert shard.document_num_bytes(index) == len(text.encode())
        assert shard.num_bytes == sum(len(text.encode()) for text in texts)
        assert shard.num_tokens == shard.num_bytes + len(texts)
        assert (shard.vocab_size, shard.tokenizer_fingerprint) == (vocab_size, "bytes")
    assert json.loads((tmp_path / "tokens" / "meta.json").read_text())["dtype"] == dtype


@pytest.mark.parametrize("damage", ["flipped", "gone"])
def test_encoded_work_that_is_damaged_is_encoded_again(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    encode_corpus(corpus, ByteEncoder(), tmp_path / "whole")
    run_stage, damaged = running.run_stage, list[Path]()

    def damaging(stage: Stage, folder: Path, *others: Any) -> None:
        run_stage(stage, folder, *others)
        if not damaged:
            path = next((folder / "encoded").glob("*.tokens"))
            damaged.append(path)
            path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
            if damage == "gone":
                path.unlink()

    monkeypatch.setattr(encoding, "run_stage", damaging)
    encode_corpus(corpus, ByteEncoder(), tmp_path / "tokens")
    assert damaged
    for path in (tmp_path / "whole").iterdir():
        assert (tmp_path / "tokens" / path.name).read_bytes() == path.read_bytes()


def test_encoding_again_gives_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        encode_corpus(corpus, ByteEncoder(), tmp_path / name)
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


def test_tasks_of_some_row_groups_make_the_shards_of_one_task(
    write_files: Callable[..., Path],
    recipe: Callable[..., CorpusRecipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_files({f"p/{number}.py": f"value = {number}\n" for number in range(7)})
    build_corpus(recipe(), tmp_path / "corpus")
    path, report = tmp_path / "corpus" / "train.parquet", read_report(tmp_path / "corpus")
    found = list(read_documents(tmp_path / "corpus", "train"))
    monkeypatch.setattr(documents, "_ROW_GROUP_BYTES", 20)  # two documents
    with DocumentWriter(path) as writer:
        for document in found:
            writer.write(document)
    report["sha256"][path.name] = sha256_of(path)
    (tmp_path / "corpus" / "report.json").write_text(json.dumps(report))
    with DocumentFile(path) as file:
        size = file.group_num_bytes(0)
    encode_corpus(tmp_path / "corpus", ByteEncoder(), tmp_path / "one")
    monkeypatch.setattr(encoding, "_TASK_BYTES", size + 1)
    assert [list(one.numbers) for one in encoding._inputs(tmp_path / "corpus")] == [[0, 1], [2, 3]]
    encode_corpus(tmp_path / "corpus", ByteEncoder(), tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_the_fingerprint_tells_tokenizers_and_documents_apart(
    corpus: Path, tmp_path: Path, recipe: Callable[..., CorpusRecipe]
) -> None:
    fingerprints = set[str]()
    encoders = [ByteEncoder(), ByteEncoder(fingerprint="other"), ByteEncoder()]
    for seed, encoder in zip((5, 5, 6), encoders, strict=True):
        of_seed = corpus.with_name(f"seed-{seed}")
        build_corpus(recipe(seed=seed, validation_projects=["two"]), of_seed)
        encode_corpus(of_seed, encoder, tmp_path / "tokens")
        fingerprints.add(TokenShard.open(tmp_path / "tokens", "train").fingerprint)
    assert len(fingerprints) == 3


def test_a_split_without_documents_opens(
    write_files: Callable[..., Path], recipe: Callable[..., CorpusRecipe], tmp_path: Path
) -> None:
    write_files({"one/a.py": "value = 1\n"})
    build_corpus(recipe(), tmp_path / "corpus")
    encode_corpus(tmp_path / "corpus", ByteEncoder(), tmp_path / "tokens")
    shard = TokenShard.open(tmp_path / "tokens", "validation")
    assert (len(shard), shard.num_tokens, shard.num_bytes) == (0, 0, 0)


def test_an_interrupted_run_leaves_the_old_shards(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_corpus(corpus, ByteEncoder(), tmp_path / "tokens")
    before = TokenShard.open(tmp_path / "tokens", "train").fingerprint

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(encoding, "run_stage", interrupt)
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(corpus, ByteEncoder(fingerprint="other"), tmp_path / "tokens")
    assert TokenShard.open(tmp_path / "tokens", "train").fingerprint == before
    assert not (tmp_path / "tokens" / ".partial").exists()


def test_there_must_be_a_corpus_and_there_must_be_shards(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="incoder corpus build"):
        encode_corpus(tmp_path, ByteEncoder(), tmp_path / "tokens")
    with pytest.raises(IncoderError, match="incoder corpus encode"):
        TokenShard.open(tmp_path / "tokens", "train")


@pytest.mark.parametrize("name", ["train.tokens", "train.bytes.npy", "train.documents.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["cut", "gone", "nonsense"])
def test_damaged_shards_are_an_error(corpus: Path, tmp_path: Path, name: str, damage: str) -> None:
    encode_corpus(corpus, ByteEncoder(), tmp_path / "tokens")
    path = tmp_path / "tokens" / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"[]")
    with pytest.raises(IncoderError, match=r"damaged|no token shards"):
        TokenShard.open(tmp_path / "tokens", "train")


def test_a_corpus_that_was_changed_is_not_encoded(corpus: Path, tmp_path: Path) -> None:
    shutil.copy(corpus / "validation.parquet", corpus / "train.parquet")
    with pytest.raises(IncoderError, match=r"train\.parquet is not what was written.*build the corpus again"):
        encode_corpus(corpus, ByteEncoder(), tmp_path / "tokens")
    (corpus / "train.parquet").rename(corpus / "train-more.parquet")
    with pytest.raises(IncoderError, match=r"cannot read .*train\.parquet"):
        encode_corpus(corpus, ByteEncoder(), tmp_path / "tokens")


@pytest.mark.parametrize("name", ["meta.json", "train.tokens", "validation.kinds.npy"])
def test_shards_replace_no_file_of_somebody_else(corpus: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / name).write_text("{}")
    with pytest.raises(IncoderError, match=f"holds {name}, which would be replaced"):
        encode_corpus(corpus, ByteEncoder(), tmp_path / "tokens")
    assert {path.name: path.read_text() for path in (tmp_path / "tokens").iterdir()} == {name: "{}"}


def test_a_check_finds_one_changed_bit(corpus: Path, tmp_path: Path) -> None:
    encode_corpus(corpus, ByteEncoder(), tmp_path / "tokens")
    path = tmp_path / "tokens" / "train.tokens"
    content = path.read_bytes()
    check_shards(tmp_path / "tokens", "train")
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    TokenShard.open(tmp_path / "tokens", "train")  # maps it and does not read it
    with pytest.raises(IncoderError, match=r"train\.tokens is not what was written.*encode the corpus again"):
        check_shards(tmp_path / "tokens", "train")
    check_shards(tmp_path / "tokens", "validation")
    meta = json.loads((tmp_path / "tokens" / "meta.json").read_text())
    (tmp_path / "tokens" / "meta.json").write_text(json.dumps({**meta, "vocab_size": 261}))
    with pytest.raises(IncoderError, match="its fingerprint is another"):
        check_shards(tmp_path / "tokens", "validation")


def test_documents_are_told_apart_by_kind(
    write_files: Callable[..., Path], recipe: Callable[..., CorpusRecipe], tmp_path: Path
) -> None:
    write_files({"one/a.py": "value = 1\n", "one/b.js": "let value = 2\n", "one/c.py": "value = 3\n"})
    build_corpus(recipe(extensions=[".py", ".js"]), tmp_path / "corpus")
    encode_corpus(tmp_path / "corpus", ByteEncoder(), tmp_path / "tokens")
    shard = TokenShard.open(tmp_path / "tokens", "train")
    assert shard.weights({"code": 0.5}).tolist() == [1.0, 0.5, 1.0]
    assert shard.weights({"python": 2.0, "stackoverflow": 9.0}).tolist() == [2.0, 1.0, 2.0]
    (tmp_path / "tokens" / "train.kinds.npy").unlink()
    with pytest.raises(IncoderError, match="encode them again"):
        TokenShard.open(tmp_path / "tokens", "train").weights({})
