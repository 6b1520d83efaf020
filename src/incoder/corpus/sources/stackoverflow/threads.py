"""Grouped questions as shards, and each question as a document."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.sources.source_file import Dropped, OnDrop
from incoder.corpus.sources.source_settings import StackOverflowSource
from incoder.corpus.sources.stackoverflow.dump import find_dumps
from incoder.corpus.sources.stackoverflow.grouping import Grouped, grouped, posts_of_partition
from incoder.corpus.sources.stackoverflow.partitions import partition_file
from incoder.corpus.sources.stackoverflow.posts import Post
from incoder.corpus.sources.stackoverflow.thread_text import chosen_answers, thread_text
from incoder.document import Document

# Questions are split in groups: one project for each question would be millions of projects.
_NUM_PROJECTS = 1000


@dataclass(frozen=True, slots=True)
class StackOverflowShard:
    """One partition of a grouped dump."""

    name: str
    partition: int
    num_bytes: int
    source: StackOverflowSource
    grouped: Grouped

    @property
    def paths(self) -> tuple[Path]:
        return (partition_file(self.grouped.folder, self.partition),)

    def documents(self, recipe: CorpusRecipe, on_drop: OnDrop) -> Iterator[Document]:
        threads = dict[int, list[Post]]()
        for post in posts_of_partition(self.grouped.folder, self.partition):
            threads.setdefault(post.question, []).append(post)
        for number in sorted(threads):
            posts = threads.pop(number)
            found = self._document(number, posts, recipe)
            if isinstance(found, Dropped):
                on_drop(found)
            else:
                yield found

    def _document(self, number: int, posts: list[Post], recipe: CorpusRecipe) -> Document | Dropped:
        project, path = project_of(self.grouped.site, number), f"questions/{number}"
        question = next((post for post in posts if post.is_question), None)
        answers = chosen_answers([post for post in posts if not post.is_question], self.source)
        num_bytes = sum(len(post.html) for post in posts)
        if question is None:
            return Dropped(project, path, num_bytes, "answers without their question")
        if len(answers) < self.source.min_answers:
            return Dropped(project, path, num_bytes, "too few answers")
        taken = [question, *answers]
        return Document(
            text=thread_text(question, answers, self.source, self.grouped, recipe.seed),
            path=path,
            project=project,
            source="stackoverflow",
            licence=_licence(taken),
            metadata={"site": self.grouped.site, "authors": _authors(taken)},
        )


def stackoverflow_shards(
    name: str, source: StackOverflowSource, scratch: Path, on_drop: OnDrop
) -> Iterator[StackOverflowShard]:
    """Group the dumps of a source in the folder `scratch`, and yield their shards.

    Raises:
        IncoderError: there is no dump, or the folder cannot be written.
    """
    for dump in find_dumps(source.path, on_drop):
        groups = grouped(dump, source, scratch / dump.site, on_drop)
        for partition in range(groups.num_partitions):
            path = partition_file(groups.folder, partition)
            if path.exists():
                yield StackOverflowShard(
                    f"{name}/{dump.site}-{partition:06}", partition, path.stat().st_size, source, groups
                )


def project_of(site: str, question: int) -> str:
    return f"{site}/{site}-{question % _NUM_PROJECTS:03}"


def _licence(posts: list[Post]) -> str | None:
    """The SPDX expression of a thread, which is under the licences of all its posts."""
    licences = {post.licence for post in posts} | {c.licence for post in posts for c in post.comments}
    return " AND ".join(sorted(licence.replace(" ", "-") for licence in licences if licence)) or None


def _authors(posts: list[Post]) -> str:
    """The authors that the licence requires to be named: [post or comment, its id, its author], as JSON."""
    named = list[tuple[str, int, str]]()
    for post in posts:
        named.append(("q" if post.is_question else "a", post.id, post.author))
        named += [("c", comment.id, comment.author) for comment in post.comments]
    return json.dumps(named, ensure_ascii=False)
