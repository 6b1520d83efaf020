"""What renaming accepts does not change what a program does: generated programs, run before and after.

The constructs that programs are made of lie in constructs.txt.
"""

import json
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from incoder.editing.edits import Edit, apply_edits
from incoder.editing.python_source import PythonSource
from incoder.editing.renaming.renaming import Renaming
from incoder.editing.renaming.risk_detector import RiskDetector
from incoder.editing.renaming.variables import Variables
from incoder.errors import IncoderError

POOL = ("first", "x", "size", "name", "count", "value", "item", "total", "e", "config", "größe")
NUM_PROGRAMS = 500

# Runs the programs of a JSON list one after the other, each as a `__main__` of its own.
RUNNER = """
import contextlib, io, json, sys, types

def run(text):
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(io.StringIO()):
        try:
            exec(compile(text, "program", "exec"), module.__dict__)
        except BaseException as error:
            print("ended with", type(error).__name__, error)
    return shown.getvalue()

json.dump([run(text) for text in json.load(sys.stdin)], sys.stdout)
"""


@dataclass
class Outcome:
    """What became of the renamings of many programs."""

    constructs: Counter[str] = field(default_factory=Counter)
    num_tried: int = 0
    num_accepted: int = 0
    pairs: list[tuple[str, str, str]] = field(default_factory=list)  # a program, renamed, what was renamed


def constructs() -> dict[str, str]:
    text = Path(__file__).with_name("constructs.txt").read_text(encoding="utf-8")
    _, *sections = re.split(r"^### ", text, flags=re.MULTILINE)
    return {name: body for name, _, body in (section.partition("\n") for section in sections)}


def program(rng: random.Random, names: list[str], known: dict[str, str]) -> str:
    """A program of these constructs, each with names of its own choice."""
    pieces = []
    for number, name in enumerate(names):
        chosen = dict(zip(("AA", "BB", "CC", "GG"), rng.sample(POOL, 4), strict=True))
        chosen["GG"] += str(number)
        piece = known[name]
        for mark, word in {**chosen, "NN": str(number)}.items():
            piece = piece.replace(mark, word)
        pieces.append(piece)
    return "".join(pieces)


def schedule(num_programs: int, known: dict[str, str], rng: random.Random) -> Iterator[list[str]]:
    """The constructs of each program: one that speaks against renamings alone, others beside a plain one."""
    alone = [name for name in known if name.startswith("!")]
    plain = [name for name in known if name.startswith("plain")]
    others = [name for name in known if not name.startswith("!")]
    for number in range(num_programs):
        turn, rest = divmod(number, 4)
        if rest == 0:
            yield [alone[turn % len(alone)]]
        else:
            first = others[(turn * 3 + rest) % len(others)]
            yield [first, rng.choice([name for name in plain if name != first])]


def rename_all(text: str, rng: random.Random, found: Outcome) -> None:
    """Try every variable of a program: fresh names all at once, names of the pool one at a time.

    Attributes of classes are no variables; that they are refused is test_rename.py's.
    """
    source = PythonSource(text)
    variables = Variables(source)
    detector = RiskDetector(variables)
    edits: list[Edit] = []
    for number, variable in enumerate(one for one in variables.each() if not one.is_attribute):
        new = rng.choice(POOL) if rng.random() < 0.1 else f"fresh_{number}"
        found.num_tried += 1
        try:
            renaming = Renaming(source, variables, variable, detector=detector)
        except IncoderError:
            continue
        if renaming.problem(new) is None:
            found.num_accepted += 1
            if new in POOL:
                described = f"{variable.name} of {variable.where} to {new}"
                found.pairs.append((text, apply_edits(text, renaming.edits(new)), described))
            else:
                edits += renaming.edits(new)
    found.pairs.append((text, apply_edits(text, edits), "all others to fresh names"))


def outcome(seed: int, num_programs: int) -> Outcome:
    known, found, rng = constructs(), Outcome(), random.Random(seed)
    for names in schedule(num_programs, known, rng):
        found.constructs.update(names)
        rename_all(program(rng, names, known), rng, found)
    return found


def outputs(texts: list[str]) -> list[str]:
    """What each program prints, and how it ends if not well."""
    command = [sys.executable, "-c", RUNNER]
    ran = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True)
    shown: list[str] = json.loads(ran.stdout)
    return shown


def check(found: Outcome) -> None:
    before = outputs([text for text, _, _ in found.pairs])
    after = outputs([renamed for _, renamed, _ in found.pairs])
    for (text, renamed, described), one, other in zip(found.pairs, before, after, strict=True):
        assert one == other, f"{described}\n{text}\n---\n{renamed}"


@pytest.fixture(scope="module")
def found() -> Outcome:
    return outcome(seed=0, num_programs=NUM_PROGRAMS)


def test_every_construct_runs_and_prints_something() -> None:
    known = constructs()
    texts = [program(random.Random(1), [name], known) for name in known]
    for name, output in zip(known, outputs(texts), strict=True):
        assert output, name
        assert "ended with" not in output, f"{name}: {output}"


def test_every_construct_is_in_several_programs(found: Outcome) -> None:
    assert min(found.constructs[name] for name in constructs()) >= 5


def test_accepted_renamings_change_no_output(found: Outcome) -> None:
    check(found)


def test_most_renamings_are_accepted(found: Outcome) -> None:
    assert found.num_accepted >= 0.6 * found.num_tried


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_accepted_renamings_change_no_output_in_more_programs(seed: int) -> None:
    check(outcome(seed, num_programs=1000))
