"""A question, its answers and their comments as one text, as in the paper (section 3.3, appendix A.3).

`<| q tags=python,django |>⏎title⏎⏎body⏎<|/ q dscore=3 |>`, then the question's comments, then each answer
with its comments. A coin for each attribute decides whether it is at its post's start or end.
"""

import re
from collections.abc import Iterator, Sequence

from incoder.corpus.sources.source_file import drawn
from incoder.corpus.sources.source_settings import StackOverflowSource
from incoder.corpus.sources.stackoverflow.grouping import Grouped
from incoder.corpus.sources.stackoverflow.html_text import html_text
from incoder.corpus.sources.stackoverflow.posts import Comment, Post
from incoder.corpus.text.bins import bin_of
from incoder.tags import closing_tag, opening_tag

# Names of users at the start of a comment, to whom it replies. Names contain no blank but may contain dots;
# a scope such as `@angular/core` is no name.
_MENTIONS = re.compile(r"\s*(?:@\w(?:[\w.'’-]*\w)?[,:;]*(?:[ \t]+|$))+")


def chosen_answers(answers: Sequence[Post], source: StackOverflowSource) -> list[Post]:
    """The answers that the recipe takes, by descending score; of equal ones the oldest first."""
    lowest = source.min_answer_score
    good = [answer for answer in answers if lowest is None or answer.score >= lowest]
    return sorted(good, key=lambda answer: (-answer.score, answer.id))[: source.max_answers]


def thread_text(
    question: Post, answers: Sequence[Post], source: StackOverflowSource, bins: Grouped, seed: int
) -> str:
    """The text of the whole thread, a function of seed and posts."""
    tags = sorted(question.tags, key=lambda tag: drawn(seed, bins.site, question.id, "tag", tag))
    attributes = {"tags": ",".join(tags)} if tags else {}
    attributes["dscore"] = str(bin_of(question.score, bins.question_bounds))
    body = "\n\n".join(filter(None, [question.title, html_text(question.html)]))
    blocks = [_tagged("q", body, attributes, seed, bins.site, question.id)]
    blocks += _comments(question.comments, source)
    for answer in answers:
        attributes = {"dscore": str(bin_of(answer.score, bins.answer_bounds))}
        blocks.append(_tagged("a", html_text(answer.html), attributes, seed, bins.site, answer.id))
        blocks += _comments(answer.comments, source)
    return "\n".join(blocks) + "\n"


def _comments(comments: Sequence[Comment], source: StackOverflowSource) -> Iterator[str]:
    for comment in comments[: source.max_comments]:
        yield f"{opening_tag('c')}\n{_without_mentions(comment.text, source)}\n{closing_tag('c')}"


def _without_mentions(comment: str, source: StackOverflowSource) -> str:
    """The comment without the names of users that it begins with, unless it has no other text."""
    if source.mentions:
        return comment
    mentioned = _MENTIONS.match(comment)
    return comment[mentioned.end() :] or comment if mentioned else comment


def _tagged(kind: str, text: str, attributes: dict[str, str], *key: int | str) -> str:
    start, end = dict[str, str](), dict[str, str]()
    draws = {name: drawn(*key, name) for name in attributes}
    for name in sorted(draws, key=draws.__getitem__):
        side = end if draws[name] & 1 else start  # the lowest bit does not depend on the order
        side[name] = attributes[name]
    return f"{opening_tag(kind, start)}\n{text}\n{closing_tag(kind, end)}"
