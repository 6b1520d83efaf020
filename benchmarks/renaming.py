"""How many variables of installed packages `incoder rename` accepts without --force, and why not the others.

    python benchmarks/renaming.py [PACKAGE …] [--files 12] [--check 0.02]

Counts local variables and parameters of functions that call none of eval, exec, locals and globals, in a
sample of each package's files. A share of the accepted variables is renamed as well, and every renaming that
then fails is printed.
"""

import argparse
import ast
import importlib.util
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import libcst as cst
from libcst.metadata.scope_provider import ClassScope, GlobalScope

from incoder.editing.python_source import PythonSource
from incoder.editing.renaming.overrides import override
from incoder.editing.renaming.renaming import Renaming
from incoder.editing.renaming.risk_detector import RiskDetector
from incoder.editing.renaming.variables import Variable, Variables

PACKAGES = (
    *("click", "fsspec", "httpx", "jinja2", "markdown_it"),
    *("networkx", "packaging", "pathspec", "pygments", "rich"),
)
DYNAMIC = {"eval", "exec", "locals", "globals"}
FRESH_NAME = "fresh_name_of_the_benchmark"


@dataclass
class Counts:
    """Variables of one sort: how many there are, how many are accepted, and the first risk of the others."""

    total: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def count(self, risk: str | None) -> None:
        self.total += 1
        self.accepted += risk is None
        if risk is not None:
            self.refused[risk] += 1

    @property
    def share(self) -> str:
        return f"{self.accepted} of {self.total} ({self.accepted / max(1, self.total):.0%})"


def files_of(package: str, num_files: int) -> list[Path]:
    """A sample of a package's files, the same in every run."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"the package {package} is not installed")
    found = sorted(Path(spec.submodule_search_locations[0]).rglob("*.py"))
    return sorted(random.Random(0).sample(found, min(num_files, len(found))))


def sort_of(variables: Variables, variable: Variable, dynamic: set[tuple[int, int]]) -> str | None:
    """The sort that the variable counts as; None if it does not count."""
    if isinstance(variable.scope, GlobalScope | ClassScope):
        return None
    line = variable.binding_lines[0]
    if any(first <= line <= last for first, last in dynamic):
        return None
    function = variable.function
    if function is None:
        return "local variables"
    if isinstance(function, cst.FunctionDef):
        if function.decorators:
            return "parameters under a decorator"
        if variable.is_first_of_method:
            return "first parameters of methods"
        if override(variables, function, variable.scope) is not None:
            return "parameters of methods that may be overrides"
    return "parameters"


def dynamic_functions(tree: ast.Module) -> set[tuple[int, int]]:
    """First and last lines of the functions that read variables by name."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
            if names & DYNAMIC:
                found.add((node.lineno, node.end_lineno or node.lineno))
    return found


def measure(path: Path, counts: dict[str, Counts], rng: random.Random, share: float) -> Iterator[str]:
    """Count the variables of one file; yields a message for every renaming that was tried and failed."""
    text = path.read_text(encoding="utf-8")
    source = PythonSource(text)
    variables = Variables(source)
    detector = RiskDetector(variables)
    dynamic = dynamic_functions(source.tree)
    for variable in variables.each():
        sort = sort_of(variables, variable, dynamic)
        if sort is None:
            continue
        risk = next(detector.risks(variable), None)
        counts.setdefault(sort, Counts()).count(risk.kind if risk else None)
        if risk is None and rng.random() < share:
            problem = Renaming(source, variables, variable, detector=detector).problem(FRESH_NAME)
            if problem:
                yield f"{path}: {variable.name} of {variable.where}: {problem}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packages", nargs="*", default=PACKAGES)
    parser.add_argument("--files", type=int, default=12, help="the maximum number of files of a package")
    parser.add_argument("--check", type=float, default=0.02, help="the share of variables that are renamed")
    arguments = parser.parse_args()

    totals: dict[str, Counts] = {}
    for package in arguments.packages:
        counts: dict[str, Counts] = {}
        for path in files_of(package, arguments.files):
            for wrong in measure(path, counts, random.Random(0), arguments.check):
                print(wrong)
        print(package, {sort: one.share for sort, one in sorted(counts.items())}, flush=True)
        for sort, one in counts.items():
            total = totals.setdefault(sort, Counts())
            total.total += one.total
            total.accepted += one.accepted
            total.refused += one.refused
    for sort, total in sorted(totals.items()):
        print(f"\n{sort}: {total.share}")
        for kind, number in total.refused.most_common():
            print(f"    {number:5} {kind}")


if __name__ == "__main__":
    main()
