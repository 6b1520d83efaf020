"""The best candidate without a problem is used."""

from pathlib import PurePath

from incoder.editing.candidates import Change, EditCandidate, ranked
from incoder.editing.edits import Edit
from incoder.editing.languages import parse_problem


def candidate(text: str, logprob: float, problem: str | None = None) -> EditCandidate:
    return EditCandidate((Edit(0, 0, text),), logprob, logprob, problem)


def test_the_most_probable_comes_first_and_what_does_not_parse_behind_what_does() -> None:
    unsorted = [
        candidate("a", -2),
        candidate("b", -1),
        candidate("c", -0.5, "does not parse"),
        candidate("d", -3),
    ]
    assert [one.edits[0].text for one in ranked(unsorted)] == ["b", "a", "d", "c"]


def test_equal_candidates_count_once_with_their_best_probability() -> None:
    assert [one.logprob for one in ranked([candidate("a", -2), candidate("a", -1)])] == [-1]


def test_a_candidate_with_a_problem_is_not_used() -> None:
    change = Change("function f", 1, ranked([candidate("a", -1, "does not parse")]))
    assert change.used is None
    assert change.edits == ()


def test_a_language_that_is_not_known_has_no_syntax_errors() -> None:
    assert parse_problem("def f(:", PurePath("a.py"))
    assert parse_problem("def f(:", PurePath("a.unknown")) is None
    assert parse_problem("def f(:", None) is None
