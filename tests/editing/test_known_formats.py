"""A model's own probabilities show whether it was trained on a format."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

import incoder
from incoder.editing import attributes
from incoder.editing import qa_threads as threads
from incoder.editing.known_formats import knows_format


class Scores:
    """Finds every word as probable as this."""

    def __init__(self, logprob: float) -> None:
        self.logprob = logprob

    def score_texts(self, texts: Sequence[str]) -> list[Any]:
        return [type("Score", (), {"total_logprob": self.logprob * len(text.split())}) for text in texts]


@pytest.mark.parametrize(("logprob", "expected"), [(-0.5, True), (-7.9, True), (-8.1, False), (-30.0, False)])
def test_only_what_goes_on_in_the_piece_counts(logprob: float, expected: bool) -> None:
    assert knows_format(cast(Any, Scores(logprob)), "one two three", " four") is expected


def test_mini_knows_the_attributes_that_it_was_trained_with() -> None:
    mini = incoder.load("mini")
    seen = {name: attributes.seen_in_training(mini, name) for name in attributes.MEANINGS}
    assert seen == {"ext": True, "filename": True, "source": False, "dstars": False}
    assert not threads.seen_in_training(mini)
