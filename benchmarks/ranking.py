"""The latency of one hole by its number of candidates and by its rules, and of the checks in a long file.

    python benchmarks/ranking.py --model mini
    python benchmarks/ranking.py --size 350m
    python benchmarks/ranking.py --rules
    python benchmarks/ranking.py --check

A hole has 40 lines before it and 20 after it, of which nothing is in the cache, and each candidate at most
16 tokens. The first is greedy, and the others branch off it or are drawn. `mini` ranks by syntax. Random
weights (--size) rank by the full text, since nothing that they write parses: the most that ranking by syntax
costs. The rules are timed with one greedy infill, of a line and of the second half of one but its last
character, with all of them, without one, and without any. The checks for syntax errors and unbound names are
timed for five candidates of holes all over a file of 2,000 lines, in CPU time.
"""

import argparse
import inspect
import random
import statistics
import tempfile
import time
from pathlib import Path, PurePath

import torch
from measuring.random_models import save_random_model

import incoder
from incoder.inference.infill_model import InfillModel
from incoder.inference.syntax_errors.added_errors import adds_errors
from incoder.inference.syntax_errors.unbound_names import leave_unbound
from incoder.request_settings import ALL_STOPPING_RULES, RankBy, StoppingRule

NUMBERS = (1, 2, 3, 5, 8)
BEFORE, AFTER = 40, 20  # lines around the hole
NUM_LINES = 2000
LONG_LINE = 24  # characters


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--size", help="random weights of this size instead of a model")
    parser.add_argument("--rules", action="store_true", help="time the stopping rules")
    parser.add_argument("--check", action="store_true", help="time the checks of candidates")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    if arguments.check:
        time_check(arguments.rounds)
    elif arguments.rules:
        time_rules(incoder.load(arguments.model), arguments.rounds)
    elif arguments.size is None:
        time_candidates(incoder.load(arguments.model), "syntax", arguments.rounds)
    else:
        with tempfile.TemporaryDirectory() as folder:
            save_random_model(Path(folder), arguments.size, "xglm", torch.float32)
            time_candidates(incoder.load(folder), "full-text", arguments.rounds)


def time_candidates(model: InfillModel, rank_by: RankBy, num_rounds: int) -> None:
    """Print the median seconds for each number of candidates, in turns on the same texts, read anew."""
    lines = inspect.getsource(argparse).splitlines(keepends=True)
    variants = [(1, False), *((number, branches) for number in NUMBERS[1:] for branches in (True, False))]
    seconds: dict[tuple[int, bool], list[float]] = {variant: [] for variant in variants}
    place = 100
    for is_warm in [False, *[True] * num_rounds]:
        place = BEFORE + (place + 227) % (len(lines) - BEFORE - AFTER)
        parts = ["".join(lines[place - BEFORE : place]), "".join(lines[place + 1 : place + 1 + AFTER])]
        for number, branches in variants:
            start = time.perf_counter()
            model.infill(
                parts,
                num_candidates=number,
                temperature=0.8,
                greedy_first=True,
                branches=branches,
                rank_by=rank_by,
                max_new_tokens=16,
                path="a.py",
                cache_salt=f"{number}{branches}{place}",
            )
            if is_warm:
                seconds[number, branches].append(time.perf_counter() - start)
    one = statistics.median(seconds[1, False])
    for (number, branches), found in seconds.items():
        median = statistics.median(found)
        name = "branches" if branches else "drawn"
        print(f"{number} candidates, {name}: {median:.2f} s, {median / one:.2f} times one")


def time_rules(model: InfillModel, num_rounds: int) -> None:
    """Print the median seconds of an infill by its rules, measured in turns on texts read once."""
    variants: dict[str, list[StoppingRule]] = {"all rules": [*ALL_STOPPING_RULES], "no rules": []}
    for without in ("openers", "blanks", "rest", "ends", "tails"):
        variants[f"without {without}"] = [rule for rule in ALL_STOPPING_RULES if rule != without]
    lines = inspect.getsource(argparse).splitlines(keepends=True)
    places = iter([place for place in range(BEFORE, len(lines), 7) if len(lines[place].strip()) > LONG_LINE])
    seconds: dict[tuple[str, str], list[float]] = {}
    for is_warm in [False, *[True] * num_rounds]:
        for name, rules in variants.items():
            for kind in ("a line", "inside a line"):
                place = next(places)
                before, line = "".join(lines[place - BEFORE : place]), lines[place]
                after = "".join(lines[place + 1 : place + 1 + AFTER])
                half = len(line) - len(line.lstrip()) + len(line.strip()) // 2
                inside = [before + line[:half], line.rstrip()[-1] + "\n" + after]
                start = time.perf_counter()
                model.infill(
                    inside if kind == "inside a line" else [before, after],
                    temperature=0,
                    max_new_tokens=32,
                    path="a.py",
                    stopping_rules=rules,
                    cache_salt=f"{name}{place}",
                )
                if is_warm:
                    seconds.setdefault((kind, name), []).append(time.perf_counter() - start)
    for (kind, name), found in sorted(seconds.items()):
        print(f"{kind}, {name}: {statistics.median(found):.2f} s")


def time_check(num_holes: int) -> None:
    """Print the median and the greatest milliseconds of CPU time that a candidate's checks take."""
    lines = (inspect.getsource(argparse) + inspect.getsource(inspect)).splitlines(keepends=True)[:NUM_LINES]
    rng = random.Random(0)
    found: dict[str, list[float]] = {}
    for _ in range(num_holes):
        hole = rng.choice([index for index, line in enumerate(lines) if line.strip()])
        gold = lines[hole]
        mistaken = [gold.replace(")", "", 1), gold.replace(":", "", 1), "    x = 1\n", gold + "  )\n"]
        around = ["".join(lines[:hole]), "".join(lines[hole + 1 :])]
        infills = [[infill] for infill in dict.fromkeys([gold, *mistaken])]
        for name, check in {"errors": adds_errors, "unbound names": leave_unbound}.items():
            start = time.process_time()
            check(around, infills, PurePath("a.py"))
            found.setdefault(name, []).append((time.process_time() - start) * 1000 / 5)
    for name, values in found.items():
        print(f"{name}: {statistics.median(values):.2f} ms a candidate, at most {max(values):.2f} ms")


if __name__ == "__main__":
    main()
