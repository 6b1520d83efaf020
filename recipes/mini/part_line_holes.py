"""How often an infill in the middle of a line is the text that was cut out, with and without stopping rules.

    python recipes/mini/part_line_holes.py SITE_PACKAGES networkx httpx werkzeug requests

Takes 5 to 25 characters out of lines of these projects' files, which `mini` was not trained on, and fills
the holes greedily with 3,000 characters before them and 1,500 after them in view. What the rules leave is
found by cutting what was written without them: they only take away.
"""

import argparse
import ast
import random
from pathlib import Path

import incoder
from incoder.inference.decoding.stopping_rules.stopping import StoppingRules
from incoder.inference.syntax.languages import PYTHON
from incoder.request_settings import ALL_STOPPING_RULES

BEFORE, AFTER = 3000, 1500  # characters in view
SHORTEST, LONGEST = 5, 25


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("projects", nargs="+")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--num-holes", type=int, default=250)
    parser.add_argument("--seed", type=int, default=16)
    arguments = parser.parse_args()
    files = [file for project in arguments.projects for file in sorted_files(arguments.folder / project)]
    rng, model = random.Random(arguments.seed), incoder.load(arguments.model)
    exact, parsing = {"rules": 0, "no rules": 0}, {"rules": 0, "no rules": 0}
    for _ in range(arguments.num_holes):
        file, text, start, end = part_of_a_line(files, rng)
        shown = max(0, start - BEFORE)
        shown = text.rfind("\n", 0, shown) + 1 if shown else 0
        parts = [text[shown:start], text[end : end + AFTER]]
        found = model.infill(parts, temperature=0, max_new_tokens=48, path=file.name, stopping_rules=())
        raw = found.infills[0]
        for name, infill in (("no rules", raw), ("rules", left_by_rules(raw, text[:start], text[end:]))):
            exact[name] += infill == text[start:end]
            parsing[name] += parses(text[:start] + infill + text[end:])
    for name in exact:
        print(f"{name}: {exact[name]} exact, {parsing[name]} files parse, of {arguments.num_holes}")


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


def left_by_rules(infill: str, prefix: str, suffix: str) -> str:
    """The part of an infill, written without the stopping rules, that they leave."""
    written = infill.encode()
    stopping = StoppingRules(prefix.encode(), suffix.encode(), ALL_STOPPING_RULES, PYTHON)
    place = stopping.cut(written)
    return written[: stopping.cut_at_end(written) if place is None else place].decode(errors="replace")


def parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


if __name__ == "__main__":
    main()
