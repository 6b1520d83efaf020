"""Posts and comments as records: the needed fields of a dump's row, and the rows to leave out."""

import re
from typing import NamedTuple

from incoder.corpus.sources.stackoverflow.dump import Row

QUESTION, ANSWER = "1", "2"

# Recent dumps contain an invented question and answer per site (meta.stackexchange.com/q/412018).
_FIRST_FABRICATED = 1_000_000_000
_FABRICATED_OWNER = "-1"


class Comment(NamedTuple):
    """A comment; `author` is a user's id or, if the account was deleted, the name."""

    post: int
    id: int
    text: str
    author: str
    licence: str


class Post(NamedTuple):
    """A question or an answer with its comments; `question` is its own id for a question."""

    id: int
    question: int
    score: int
    title: str
    tags: tuple[str, ...]
    html: str
    author: str
    licence: str
    comments: tuple[Comment, ...] = ()

    @property
    def is_question(self) -> bool:
        return self.id == self.question


def post_of(row: Row) -> Post | str | None:
    """The post of a row of `Posts.xml`, the reason why there is none, or None for other kinds of post."""
    kind = row.get("PostTypeId")
    if kind not in (QUESTION, ANSWER):
        return None
    try:
        identity = int(row["Id"])
        question = identity if kind == QUESTION else int(row["ParentId"])
        score = int(row.get("Score", "0"))
    except (KeyError, ValueError):
        return "damaged row"
    if not row.get("Body"):
        return "empty"
    return Post(
        id=identity,
        question=question,
        score=score,
        title=row.get("Title", ""),
        tags=tags_of(row.get("Tags", "")),
        html=row["Body"],
        author=row.get("OwnerUserId") or row.get("OwnerDisplayName", ""),
        licence=row.get("ContentLicense", ""),
    )


def is_fabricated(row: Row) -> bool:
    """Whether the site invented this post for its dump."""
    return row.get("OwnerUserId") == _FABRICATED_OWNER and int(row["Id"]) > _FIRST_FABRICATED


def comment_of(row: Row) -> Comment | None:
    """The comment of a row of `Comments.xml`, or None for a row without post or text."""
    try:
        post, identity = int(row["PostId"]), int(row["Id"])
    except (KeyError, ValueError):
        return None
    if not row.get("Text"):
        return None
    author = row.get("UserId") or row.get("UserDisplayName", "")
    return Comment(post, identity, row["Text"], author, row.get("ContentLicense", ""))


def tags_of(tags: str) -> tuple[str, ...]:
    """`<python><django>`, as until 2024, or `|python|django|`, as since."""
    return tuple(tag for tag in re.split(r"[<>|]+", tags) if tag)
