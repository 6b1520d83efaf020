"""Joins questions with their answers and all comments, on disk.

In a dump, answers do not follow their question, and comments are in a file of their own. So records are
distributed over files twice: posts and comments by the post's number, then posts with their comments by the
question's number. One of these files is in memory at a time, about 64 MB of the dump, whatever its size.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from incoder.corpus.sources.source_file import Dropped, OnDrop
from incoder.corpus.sources.source_settings import StackOverflowSource
from incoder.corpus.sources.stackoverflow.dump import Dump, Table
from incoder.corpus.sources.stackoverflow.partitions import Partitions, partition_file, read_partition
from incoder.corpus.sources.stackoverflow.posts import (
    Comment,
    Post,
    comment_of,
    is_fabricated,
    post_of,
)
from incoder.corpus.text.bins import lower_bounds
from incoder.errors import IncoderError
from incoder.files import make_folder, read_json_object

_PARTITION_BYTES = 64_000_000  # of XML
_PACKED = 7  # estimated compression of a 7z; only the number of files depends on it
_MANIFEST = "grouped.json"
_DROPS = "drops.jsonl"


@dataclass(frozen=True, slots=True)
class Grouped:
    """The folder of a dump's grouped questions, and the lowest scores of the bins of both kinds of post."""

    site: str
    folder: Path
    num_partitions: int
    question_bounds: tuple[int, ...]
    answer_bounds: tuple[int, ...]


def grouped(dump: Dump, source: StackOverflowSource, folder: Path, on_drop: OnDrop) -> Grouped:
    """Group a dump into `folder`, unless an earlier run has already grouped the same dump there."""
    fingerprint = _fingerprint(dump, source)
    if not _is_grouped(folder, fingerprint):
        shutil.rmtree(folder, ignore_errors=True)
        _group(dump, source, make_folder(folder), fingerprint)
    for line in (folder / _DROPS).read_text(encoding="utf-8").splitlines():
        on_drop(Dropped(*json.loads(line)))
    manifest = read_json_object(folder / _MANIFEST)
    return Grouped(
        site=dump.site,
        folder=folder / "questions",
        num_partitions=manifest["num_partitions"],
        question_bounds=source.question_bins or tuple(manifest["question_bounds"]),
        answer_bounds=source.answer_bins or tuple(manifest["answer_bounds"]),
    )


def posts_of_partition(folder: Path, partition: int) -> list[Post]:
    return [_restored(record) for record in read_partition(folder, partition)]


def _group(dump: Dump, source: StackOverflowSource, folder: Path, fingerprint: str) -> None:
    num_partitions = 1 + _unpacked_bytes(dump) // _PARTITION_BYTES
    scores: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
    with (folder / _DROPS).open("w", encoding="utf-8") as drops:
        drop = _dropping(dump.site, drops)
        _spread_posts(dump.posts, Partitions(folder / "posts", num_partitions), source, scores, drop)
        if dump.comments is not None:
            _spread_comments(dump.comments, Partitions(folder / "comments", num_partitions), drop)
        by_question = Partitions(folder / "questions", num_partitions)
        for partition in range(num_partitions):
            _join(folder, partition, by_question, drop)
        by_question.flush()
    for name in ("posts", "comments"):
        shutil.rmtree(folder / name, ignore_errors=True)
    manifest = {
        "fingerprint": fingerprint,
        "num_partitions": num_partitions,
        "question_bounds": lower_bounds(scores[0]),
        "answer_bounds": lower_bounds(scores[1]),
    }
    partial = folder / f"{_MANIFEST}.partial"
    partial.write_text(json.dumps(manifest), encoding="utf-8")
    partial.replace(folder / _MANIFEST)


_Drop = Callable[[str, int, str], None]


def _dropping(site: str, drops: TextIO) -> _Drop:
    def drop(path: str, num_bytes: int, reason: str) -> None:
        drops.write(json.dumps([site, path, num_bytes, reason]) + "\n")

    return drop


def _spread_posts(
    table: Table,
    partitions: Partitions,
    source: StackOverflowSource,
    scores: tuple[Counter[int], Counter[int]],
    drop: _Drop,
) -> None:
    for row in table.rows(lambda num_bytes, reason: drop("Posts.xml", num_bytes, reason)):
        post = post_of(row)
        if isinstance(post, str):
            drop(f"posts/{row.get('Id', '')}", len(row.get("Body", "")), post)
        elif post is not None and not source.fabricated and is_fabricated(row):
            drop(f"posts/{post.id}", len(post.html), "fabricated post")
        elif post is not None:
            scores[0 if post.is_question else 1][post.score] += 1
            partitions.add(post.id, post)
    partitions.flush()


def _spread_comments(table: Table, partitions: Partitions, drop: _Drop) -> None:
    for row in table.rows(lambda num_bytes, reason: drop("Comments.xml", num_bytes, reason)):
        comment = comment_of(row)
        if comment is None:
            drop(f"comments/{row.get('Id', '')}", len(row.get("Text", "")), "damaged row")
        else:
            partitions.add(comment.post, comment)
    partitions.flush()


def _join(folder: Path, partition: int, by_question: Partitions, drop: _Drop) -> None:
    """Add the comments to the posts of one partition, in the order in which they were written."""
    comments = dict[int, list[Comment]]()
    for record in read_partition(folder / "comments", partition):
        comment = Comment(*record)
        comments.setdefault(comment.post, []).append(comment)
    for record in read_partition(folder / "posts", partition):
        post = _restored(record)
        own = sorted(comments.pop(post.id, []), key=lambda comment: comment.id)
        by_question.add(post.question, post._replace(comments=tuple(own)))
    for post_id, orphans in comments.items():
        num_bytes = sum(len(comment.text) for comment in orphans)
        drop(f"posts/{post_id}", num_bytes, "comments without their post")
    for name in ("posts", "comments"):
        partition_file(folder / name, partition).unlink(missing_ok=True)


def _restored(record: list[Any]) -> Post:
    """The post of a record of JSON, which has tuples as lists."""
    *fields, comments = record
    post = Post(*fields)
    return post._replace(
        tags=tuple(post.tags),
        comments=tuple(Comment(*comment) for comment in comments),
    )


def _unpacked_bytes(dump: Dump) -> int:
    tables = [table for table in (dump.posts, dump.comments) if table is not None]
    return sum(table.location.stat().st_size * (_PACKED if table.member else 1) for table in tables)


def _fingerprint(dump: Dump, source: StackOverflowSource) -> str:
    parts: list[object] = [source.fabricated]
    for table in (dump.posts, dump.comments):
        if table is not None:
            status = table.location.stat()
            parts += [str(table.location.resolve()), table.member, status.st_size, status.st_mtime_ns]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _is_grouped(folder: Path, fingerprint: str) -> bool:
    try:
        return read_json_object(folder / _MANIFEST).get("fingerprint") == fingerprint
    except IncoderError:
        return False
