"""What is shown of an infill in many languages, judged by what a user wants to read.

A file in suggestions/ is named after the one whose suggestions it has (`a.py.golden`). Its cases begin with a
heading; in a case, ⟦…⟧ is the infill, ⟨…⟩ in it what is not shown, and ⟪…⟫ what is shown although the model
did not write it. Where all of an infill is in ⟨…⟩, nothing is shown.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from incoder.language_server.suggestion_filters import shown_suggestion

GOLDEN = Path(__file__).parent / "suggestions"
_CASE = re.compile(r"── (.+)\n((?s:.)*?)(?=^── |\Z)", re.MULTILINE)
_HOLE = re.compile(r"⟦((?s:.)*?)⟧")
_CUT, _ADDED = re.compile(r"⟨((?s:.)*?)⟩"), re.compile(r"⟪((?s:.)*?)⟫")


class Case(NamedTuple):
    path: str
    name: str
    prefix: str
    infill: str
    shown: str | None
    suffix: str


def read_cases() -> Iterator[Case]:
    for file in sorted(GOLDEN.glob("*.golden")):
        for name, text in _CASE.findall(file.read_text(encoding="utf-8")):
            (hole,) = _HOLE.finditer(text)
            infill = _CUT.sub(r"\1", _ADDED.sub("", hole[1]))
            shown = _ADDED.sub(r"\1", _CUT.sub("", hole[1]))
            yield Case(file.stem, name, text[: hole.start()], infill, shown or None, text[hole.end() :])


CASES = list(read_cases())
each_case = pytest.mark.parametrize("case", CASES, ids=[f"{case.path}-{case.name}" for case in CASES])


def test_there_are_at_least_forty_cases_in_six_languages() -> None:
    assert len(CASES) >= 40
    assert len({case.path for case in CASES}) >= 6


@each_case
def test_users_read_what_helps_them(case: Case) -> None:
    assert shown_suggestion(case.prefix, case.suffix, case.infill, case.path) == case.shown


@each_case
def test_what_is_shown_is_shown_again(case: Case) -> None:
    if case.shown is not None:
        assert shown_suggestion(case.prefix, case.suffix, case.shown, case.path) == case.shown


@each_case
def test_line_ends_of_windows_change_nothing(case: Case) -> None:
    prefix, suffix, infill = (text.replace("\n", "\r\n") for text in (case.prefix, case.suffix, case.infill))
    expected = None if case.shown is None else case.shown.replace("\n", "\r\n")
    assert shown_suggestion(prefix, suffix, infill, case.path) == expected


def test_the_unfinished_last_line_is_not_shown() -> None:
    infill = "total = 0\n    for x in xs:\n        tot"
    shown = shown_suggestion("def mean(xs):\n    ", "\n", infill, "python", is_cut_off=True)
    assert shown == "total = 0\n    for x in xs:"


def test_an_unfinished_line_is_shown_if_it_is_the_only_one() -> None:
    assert shown_suggestion("x = ", "\n", "some_function(a", "python", is_cut_off=True) == "some_function(a"


def test_one_line_is_shown_if_one_is_asked_for() -> None:
    infill = "total = 0\n    return total"
    assert shown_suggestion("def f():\n    ", "", infill, "python", lines="one") == "total = 0"


def test_the_language_is_known_by_its_identifier() -> None:
    infill = "prices.sum\nend"
    assert shown_suggestion("def total(prices)\n  ", "\nend\n", infill, "ruby") == "prices.sum"


def test_halves_of_surrogate_pairs_are_text() -> None:
    assert shown_suggestion("x = '\ud83d' + ", "\n", "y + '\ud83d'", "python") == "y + '\ud83d'"


@pytest.mark.parametrize("text", ["", "\0\0", "\n" * 500, "(" * 300, "é\u2028" * 300, '"' * 999, "a " * 900])
def test_no_text_is_too_odd(text: str) -> None:
    for prefix, suffix in (("", ""), (text, text), ("x = ", ")\n")):
        shown = shown_suggestion(prefix, suffix, text, "python")
        assert shown is None or shown.strip()
