"""The index follows the files: what it finds is what an index built anew would find."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from incoder.inference.memory import index as index_module
from incoder.inference.memory.index import ProjectIndex, updated
from incoder.inference.memory.lookup import longest_continuations
from incoder.tokenizer.tokenizer import Tokenizer

Write = Callable[[str, str], Path]


def age(folder: Path) -> None:
    """Let the files be older than the clock's resolution, as a project's files are."""
    for path in folder.rglob("*.py"):
        os.utime(path, ns=(path.stat().st_mtime_ns - 10**10,) * 2)


def lookups(index: ProjectIndex, tokenizer: Tokenizer, texts: list[str]) -> list[object]:
    segments = index.weighted(tokenizer.vocab_size)
    return [
        longest_continuations(segments, token_ids[:end])
        for token_ids in map(tokenizer.encode, texts)
        for end in range(2, len(token_ids), 3)
    ]


def test_after_any_changes_it_finds_what_a_new_index_finds(
    tmp_path: Path, write: Write, tiny_tokenizer: Tokenizer
) -> None:
    rng, names = random.Random(0), [f"file{number}.py" for number in range(12)]
    words = ["self", "count", "add", "return", "(", ")", "+ 1", "\n", "    ", "x", "print", "if "]

    def text() -> str:
        return "".join(rng.choice(words) for _ in range(rng.randint(1, 80)))

    index, num_merged, num_apart = ProjectIndex({}), 0, 0
    for _ in range(40):
        for name in rng.sample(names, rng.randint(1, 3)):
            path = write(name, text())
            if rng.random() < 0.3:
                path.unlink()
        index = updated(index, tmp_path / "project", tiny_tokenizer)
        num_merged += len(index.segments) == 1
        num_apart += len(index.segments) == 2
        new = updated(ProjectIndex({}), tmp_path / "project", tiny_tokenizer)
        queries = [text() for _ in range(5)]
        assert lookups(index, tiny_tokenizer, queries) == lookups(new, tiny_tokenizer, queries)
        assert (index.num_files, index.num_tokens) == (new.num_files, new.num_tokens)
    assert num_merged
    assert num_apart


def test_nothing_is_read_where_nothing_has_changed(
    tmp_path: Path, write: Write, tiny_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("a.py", "x = 1\n")
    write("generated.py", "# automatically generated\nx = 1\n")
    age(tmp_path)
    index = updated(ProjectIndex({}), tmp_path / "project", tiny_tokenizer)
    assert (index.num_files, len(index.files)) == (1, 2)
    monkeypatch.setattr(index_module, "read_text", None)
    assert updated(index, tmp_path / "project", tiny_tokenizer) is index


def test_only_the_saved_file_is_encoded_again(
    tmp_path: Path, write: Write, tiny_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        write(f"file{number}.py", f"def function{number}(x):\n    return x + {number}\n")
    age(tmp_path)
    index = updated(ProjectIndex({}), tmp_path / "project", tiny_tokenizer)
    write("file3.py", "def changed(x):\n    return x\n")
    write("file4.py", (tmp_path / "project" / "file4.py").read_text())  # saved without a change
    encoded = list[str]()

    def encode_texts(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
        encoded.extend(texts)
        return [tokenizer.encode(text) for text in texts]

    monkeypatch.setattr(index_module, "encode_texts", encode_texts)
    index = updated(index, tmp_path / "project", tiny_tokenizer)
    assert encoded == ["def changed(x):\n    return x\n"]
    assert len(index.segments) == 2  # the large one was not sorted again


def test_a_file_saved_twice_within_the_clocks_resolution_is_read_twice(
    tmp_path: Path, write: Write, tiny_tokenizer: Tokenizer
) -> None:
    path = write("a.py", "first = 1\n")
    now = time.time_ns()
    os.utime(path, ns=(now, now))
    index = updated(ProjectIndex({}), tmp_path / "project", tiny_tokenizer)
    path.write_text("other = 1\n")  # of the same size
    os.utime(path, ns=(now, now))
    again = updated(index, tmp_path / "project", tiny_tokenizer)
    assert index.files["a.py"].digest != again.files["a.py"].digest


def test_a_project_that_is_too_large_is_cut(
    tmp_path: Path, write: Write, tiny_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "MAX_PROJECT_BYTES", 20)
    for name in "abc":
        write(f"{name}.py", "x = 1234\n")
    index = updated(ProjectIndex({}), tmp_path / "project", tiny_tokenizer)
    assert (sorted(index.files), index.num_left_out) == (["a.py", "b.py"], 1)


def test_an_unreadable_file_is_tried_again(
    tmp_path: Path, write: Write, tiny_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("a.py", "x = 1\n")
    age(tmp_path)

    def refuse(path: Path) -> str:
        raise PermissionError(path)

    with monkeypatch.context() as patched:
        patched.setattr(index_module, "read_text", refuse)
        index = updated(ProjectIndex({}), tmp_path / "project", tiny_tokenizer)
    assert index.num_files == 0
    assert updated(index, tmp_path / "project", tiny_tokenizer).num_files == 1


def test_windows_line_ends_are_indexed_as_the_model_reads_them(
    tmp_path: Path, tiny_tokenizer: Tokenizer
) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "a.py").write_bytes(b"\xef\xbb\xbfdef f(x):\r\n    return x\r\n")
    index = updated(ProjectIndex({}), tmp_path / "project", tiny_tokenizer)
    tokens = index.segments[0].tokens_of(index.files["a.py"].span).tolist()
    assert tiny_tokenizer.decode(tokens) == "def f(x):\n    return x\n"
