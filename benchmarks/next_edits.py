"""The time until a next edit is there, beside one plain scoring request for the same excerpt.

    OMP_NUM_THREADS=2 python benchmarks/next_edits.py

Each round renames an attribute in another file of the standard library, where it is used at eight or more
other places, so nothing is in the cache. Every other round the new name is not known, because an argument
was added, so that the model has to write. The two kinds of work take turns in one run.
"""

import argparse
import re
import statistics
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import NamedTuple

import incoder
from incoder.editing.next_edits.events import edit_events
from incoder.editing.next_edits.excerpt import Excerpt, excerpt
from incoder.editing.next_edits.proposals import edits_after
from incoder.editing.next_edits.sites import MAX_SITES, candidate_sites

_MAX_CHARACTERS = 100_000


class Case(NamedTuple):
    """An edit of a file that has `MAX_SITES` sites in an excerpt."""

    kind: str
    before: str
    after: str
    part: Excerpt


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    model, path = incoder.load(arguments.model), PurePath("a.py")
    taken: dict[str, list[tuple[float, float]]] = {}
    for number, case in enumerate(cases(arguments.rounds + 2)):
        started = time.perf_counter()
        edits_after(model, case.after, edit_events(case.before, case.after), path=path)
        seconds = time.perf_counter() - started
        olds = tuple(case.after[site.start : site.end] for site in case.part.sites)
        parts = (
            f"# {number}\n{case.part.after[0]}",
            *case.part.after[1:],
        )  # so that the cache has no part of it
        started = time.perf_counter()
        model.score_infills(parts, [olds], path=path)
        if number >= 2:  # the first of each kind warms up
            taken.setdefault(case.kind, []).append((seconds, time.perf_counter() - started))
    for kind, pairs in taken.items():
        ours, scoring = ([1000 * one for one in column] for column in zip(*pairs, strict=True))
        print(
            f"{kind}: {len(pairs)} edits with {MAX_SITES} sites, p50 {statistics.median(ours):.0f} ms, "
            f"p95 {_p95(ours):.0f} ms; one scoring request: p50 {statistics.median(scoring):.0f} ms"
        )


def cases(num_cases: int) -> Iterator[Case]:
    """Yield edits of files, renamings and added arguments in turns."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    made = {kind: _cases_of(files, kind) for kind in ("renamed", "argument added")}
    for number in range(num_cases):
        yield next(made[list(made)[number % len(made)]])


def _cases_of(files: list[Path], kind: str) -> Iterator[Case]:
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")
        if len(text) > _MAX_CHARACTERS:
            continue
        for after in _renamed(text) if kind == "renamed" else _with_argument(text):
            events = edit_events(text, after)
            part = excerpt(after, events, candidate_sites(after, events))
            if len(part.sites) == MAX_SITES:
                yield Case(kind, text, after, part)
                break


def _renamed(text: str) -> Iterator[str]:
    for match in re.finditer(r"^ +self\.(\w+) = ", text, re.MULTILINE):
        yield text[: match.start(1)] + "renamed_" + text[match.start(1) :]


def _with_argument(text: str) -> Iterator[str]:
    for match in re.finditer(r"^ *def (\w+)\((?:self, )?\w+", text, re.MULTILINE):
        yield text[: match.end()] + ", options" + text[match.end() :]


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


if __name__ == "__main__":
    main()
