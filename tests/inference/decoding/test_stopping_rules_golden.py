"""Infills in many languages: what a model writes into a hole, and what stays of it.

A file in golden/ is named after the one whose holes it has (`a.py.golden`). Its cases begin with a heading;
in a case, ⟦…⟧ is the hole with what the model writes, and ⟨…⟩ in it what is cut off.
"""

import random
import re
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import pytest

from incoder.inference.decoding.stopping_rules.stopping import StoppingRules
from incoder.inference.syntax.languages import syntax_of
from incoder.request_settings import ALL_STOPPING_RULES

GOLDEN = Path(__file__).parent / "golden"
KINDS = ("string", "end of statement", "block end", "comment", "mid-line", "label")
_CASE = re.compile(r"── (.+)\n((?s:.)*?)(?=^── |\Z)", re.MULTILINE)
_HOLE = re.compile(r"⟦((?s:.)*?)(?:⟨((?s:.)*?)⟩)?⟧")


class Case(NamedTuple):
    path: str
    kind: str
    prefix: bytes
    stays: bytes
    is_cut: bytes
    suffix: bytes

    @property
    def written(self) -> bytes:
        return self.stays + self.is_cut

    def rules(self) -> StoppingRules:
        syntax = syntax_of(self.path, self.prefix.decode())
        return StoppingRules(self.prefix, self.suffix, ALL_STOPPING_RULES, syntax)


def read_cases() -> Iterator[Case]:
    for file in sorted(GOLDEN.glob("*.golden")):
        for kind, text in _CASE.findall(file.read_text(encoding="utf-8")):
            (hole,) = _HOLE.finditer(text)
            pieces = (text[: hole.start()], hole[1], hole[2] or "", text[hole.end() :])
            yield Case(file.stem, kind, *(piece.encode() for piece in pieces))


CASES = list(read_cases())
each_case = pytest.mark.parametrize("case", CASES, ids=[f"{case.path}-{case.kind}" for case in CASES])


def left_of(case: Case, ends: Iterable[int]) -> bytes:
    """What stays of an infill that comes up to each of these places in turn; checks what is committed."""
    rules, committed = case.rules(), 0
    for end in ends:
        place = rules.cut(case.written[:end])
        if place is not None:
            assert committed <= place, "what was committed is cut"
            return case.written[:place]
        committed = max(committed, rules.num_committed(case.written[:end]))
    place = rules.cut_at_end(case.written)
    assert committed <= len(case.written[:place]), "what was committed is cut at the end"
    return case.written[:place]


@each_case
def test_what_fits_stays(case: Case) -> None:
    assert left_of(case, range(1, len(case.written) + 1)) == case.stays


@each_case
def test_what_stays_does_not_depend_on_the_tokens(case: Case) -> None:
    rng = random.Random(case.path + case.kind)
    for _ in range(10):
        sizes = [rng.randint(1, 9) for _ in case.written]
        ends = [end for end in accumulate(sizes) if end <= len(case.written)]
        assert left_of(case, ends) == case.stays


@each_case
def test_what_stays_is_left_alone(case: Case) -> None:
    again = case._replace(is_cut=b"")
    assert left_of(again, range(1, len(again.written) + 1)) == case.stays


def test_at_least_fourteen_languages_have_every_kind_of_hole() -> None:
    kinds_of = {path: {case.kind for case in CASES if case.path == path} for path in {c.path for c in CASES}}
    assert sum(set(KINDS) <= kinds for kinds in kinds_of.values()) >= 14
