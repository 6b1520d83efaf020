"""Q&A threads in the StackOverflow format that models see in training (paper, appendices A.3 and A.4).

The model writes an answer after a question; a comment on the answer asks for a better one. To predict the
title and the tags of a question, the model fills two holes before its text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from incoder.editing.defaults import ASK
from incoder.editing.known_formats import knows_format
from incoder.model_protocol import Model
from incoder.request import InfillRequest
from incoder.results import Candidate
from incoder.tags import closing_tag, opening_tag

_GOOD = {"dscore": "5"}  # the score bin of the best answers
_BEFORE_TAGS, _AFTER_TAGS = opening_tag("q", {"tags": "…"}).split("…")
_END_OF_ANSWER = "\n" + closing_tag("a").removesuffix(_AFTER_TAGS)


@dataclass(frozen=True, slots=True)
class Turn:
    """An answer, and the comment that asks for another one."""

    answer: str
    comment: str


@dataclass(frozen=True, slots=True)
class Headline:
    """A title and tags for a question, with the mean log-probability of their tokens."""

    title: str
    tags: tuple[str, ...]
    logprob: float


def seen_in_training(model: Model) -> bool:
    """Whether the model seems to have been trained on this format; otherwise its answers are worth little.

    >>> seen_in_training(model)  # mini was trained on code only
    False
    """
    before, question, _ = opening_tag("q").partition(" q")
    return knows_format(model, before, question)


def answers(
    model: Model,
    question: str,
    template: InfillRequest = ASK,
    *,
    tags: Sequence[str] = (),
    turns: Sequence[Turn] = (),
) -> Sequence[Candidate]:
    """Answer a question after the answers and comments in `turns`; the most probable answer comes first."""
    attributes = {"tags": ",".join(tags)} if tags else {}
    prompt = f"{opening_tag('q', attributes)}\n{question.strip()}\n{closing_tag('q')}\n"
    for turn in turns:
        prompt += f"{opening_tag('a', _GOOD)}\n{turn.answer.strip()}\n{closing_tag('a')}\n"
        prompt += f"{opening_tag('c')}\n{turn.comment.strip()}\n{closing_tag('c')}\n"
    prompt += f"{opening_tag('a', _GOOD)}\n"
    request = replace(template.for_parts([prompt], stop=(_END_OF_ANSWER,)), allows_tags=True)
    return model.run(request).candidates


def headlines(model: Model, question: str, template: InfillRequest = ASK) -> tuple[Headline, ...]:
    """Predict titles and tags for the text of a question, the most probable first."""
    parts = [_BEFORE_TAGS, f"{_AFTER_TAGS}\n", f"\n\n{question.strip()}\n{closing_tag('q')}\n"]
    found = model.run(template.for_parts(parts, stop=(_AFTER_TAGS, "\n"))).candidates
    return tuple(
        Headline(one.infills[1].strip(), tuple(filter(None, one.infills[0].strip().split(","))), one.logprob)
        for one in found
    )
