"""How often a greedy infill in the middle of a line is the text that was cut out, by the rules for infills.

    python recipes/mini/part_line_holes.py fill PROJECTS --output RUNS/part_line.jsonl
    python recipes/mini/part_line_holes.py report RUNS/part_line.jsonl

PROJECTS is a folder of projects that `mini` was not trained on; each has the same share of the holes. A hole
is 5 to 25 characters of a line, with 1,200 characters before it and 600 after it in view. Each one is filled
by every variant: greedily with all rules, without each of the rules for such holes, and without any; and by
the best of five candidates, which branch off the greedy one or are drawn. Left to right, the model writes on
after the text before the hole, and is given the length of the missing text. `fill` continues where it
stopped.

The report has the rates, and each variant's difference to the first with a 95 % interval: a bootstrap over
files, seed 0.
"""

import argparse
import ast
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

import incoder
from incoder.inference.infill_model import InfillModel
from incoder.infill_defaults import SEVERAL_TEMPERATURE
from incoder.request_settings import ALL_STOPPING_RULES, RequestSettings

BEFORE, AFTER = 3000, 1500  # characters in view of memory_infills.py
SHORTEST, LONGEST = 5, 25
RULES_INSIDE_LINES = ("lines", "rest", "blanks", "ends", "tails")
LEFT_TO_RIGHT = "left to right, told the length"
GREEDY: RequestSettings = {"temperature": 0.0, "max_new_tokens": 48}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("fill")
    one.add_argument("projects", type=Path, help="a folder for each project")
    one.add_argument("--output", type=Path, required=True)
    one.add_argument("--model", default="mini")
    one.add_argument("--num-holes", type=int, default=400)
    one.add_argument("--seed", type=int, default=19)
    one.add_argument("--before", type=int, default=1200, help="characters in view before the hole")
    one.add_argument("--after", type=int, default=600, help="and after it")
    one.add_argument("--only", nargs="*", help="variants; by default all")
    one.set_defaults(run=fill)
    one = commands.add_parser("report")
    one.add_argument("results", type=Path, nargs="+", help="several files must have the same holes")
    one.set_defaults(run=report)
    arguments = parser.parse_args()
    arguments.run(arguments)


def variants() -> dict[str, RequestSettings]:
    """The settings of each variant, by its name."""
    found: dict[str, RequestSettings] = {"all rules": {}}
    for rule in RULES_INSIDE_LINES:
        found[f"without {rule}"] = {"stopping_rules": [one for one in ALL_STOPPING_RULES if one != rule]}
    found["no token healing"] = {"token_healing": False}
    found["no rules"] = {"stopping_rules": ()}
    found["best of five"] = {"num_candidates": 5, "branches": True}
    found["best of five, drawn"] = {"num_candidates": 5, "temperature": SEVERAL_TEMPERATURE}
    return found


def fill(arguments: argparse.Namespace) -> None:
    names = arguments.only or [*variants(), LEFT_TO_RIGHT]
    chosen = {name: settings for name, settings in variants().items() if name in names}
    model = incoder.load(arguments.model)
    num_done = len(arguments.output.read_bytes().splitlines()) if arguments.output.exists() else 0
    with arguments.output.open("a", encoding="utf-8") as output:
        chosen_holes = holes(arguments.projects, arguments.num_holes, arguments.seed)
        for file, text, start, end in islice(chosen_holes, num_done, None):
            shown = max(0, start - arguments.before)
            shown = text.rfind("\n", 0, shown) + 1 if shown else 0
            parts = [text[shown:start], text[end : end + arguments.after]]
            infills = {
                name: model.infill(parts, path=file.name, **{**GREEDY, **settings}).infills[0]
                for name, settings in chosen.items()
            }
            if LEFT_TO_RIGHT in names:
                infills[LEFT_TO_RIGHT] = written_on(model, parts[0], file, end - start)
            row = {
                "file": str(file.relative_to(arguments.projects)),
                "start": start,
                "missing": text[start:end],
                "infills": infills,
                "parses": {name: parses(text[:start] + one + text[end:]) for name, one in infills.items()},
            }
            print(json.dumps(row), file=output, flush=True)


def written_on(model: InfillModel, prefix: str, file: Path, num_characters: int) -> str:
    """What the model writes after a text, left to right."""
    return model.complete(prefix, path=file.name, **GREEDY).infills[0][:num_characters]


def holes(folder: Path, num_holes: int, seed: int) -> Iterator[tuple[Path, str, int, int]]:
    """Holes of the projects in this folder, in turn."""
    rng = random.Random(seed)
    projects = [sorted_files(Path(name)) for name in sorted(map(str, folder.iterdir()))]
    projects = [files for files in projects if files]
    for number in range(num_holes):
        yield part_of_a_line(projects[number % len(projects)], rng)


def sorted_files(folder: Path) -> list[Path]:
    return [Path(name) for name in sorted(map(str, folder.rglob("*.py"))) if "/tests/" not in name]


def part_of_a_line(files: list[Path], rng: random.Random) -> tuple[Path, str, int, int]:
    """A file, its text, and where some characters are in the middle of one of its lines."""
    while True:
        file = rng.choice(files)
        text = file.read_text(encoding="utf-8")
        if not 400 < len(text) < 60_000:
            continue
        lines = text.splitlines(keepends=True)
        number = rng.randrange(len(lines))
        line = lines[number].rstrip("\n")
        indent, size = len(line) - len(line.lstrip()), rng.randint(SHORTEST, LONGEST)
        if len(line) - indent < size + 4:
            continue
        start = rng.randint(indent + 1, len(line) - size - 1)
        if line[start + size :].strip():
            start += sum(map(len, lines[:number]))
            return file, text, start, start + size


def report(arguments: argparse.Namespace) -> None:
    rows = [[json.loads(line) for line in path.open(encoding="utf-8")] for path in arguments.results]
    merged: list[Mapping[str, object]] = []
    files, exact, parsing, blank = [], dict[str, list[bool]](), dict[str, list[bool]](), dict[str, int]()
    for same in zip(*rows, strict=True):
        assert len({(one["file"], one["start"]) for one in same}) == 1, "the files have other holes"
        merged.append(same[0])
        files.append(same[0]["file"])
        for path, one in zip(arguments.results, same, strict=True):
            for name, infill in one["infills"].items():
                name = name if path == arguments.results[0] else f"{path.stem}: {name}"
                exact.setdefault(name, []).append(infill == one["missing"])
                parsing.setdefault(name, []).append(one["parses"][name.rpartition(": ")[2]])
                blank[name] = blank.get(name, 0) + (not infill.strip())
    first = next(iter(exact))
    print(f"{len(files)} holes in {len(set(files))} files")
    for name, values in exact.items():
        line = f"{name}: exact {100 * np.mean(values):.1f} % ({in_percent(interval(values, files))}), "
        line += f"parse {100 * np.mean(parsing[name]):.1f} %, {blank[name]} blank"
        if name != first:
            gains = np.array(exact[first], dtype=float) - np.array(values, dtype=float)
            line += f"; {first} is {100 * gains.mean():+.1f} points ({in_percent(interval(gains, files))})"
        print(line)


def interval(values: Sequence[float], files: Sequence[str], num_draws: int = 10_000) -> tuple[float, float]:
    """The 95 % interval of a mean, by a bootstrap over files."""
    names = sorted(set(files))
    sums = np.array([sum(v for v, file in zip(values, files, strict=True) if file == name) for name in names])
    sizes = np.array([files.count(name) for name in names])
    draws = np.random.default_rng(0).integers(len(names), size=(num_draws, len(names)))
    means = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def in_percent(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"


def parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


if __name__ == "__main__":
    main()
