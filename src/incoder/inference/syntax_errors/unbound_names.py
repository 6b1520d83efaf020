"""How many names a Python file with its infills uses and binds nowhere.

An infill may use a name that nothing binds, or lack the binding of a name that the text after it uses. The
scopes of the lines around a hole decide, as Python itself sees them. Every name that occurs elsewhere in the
file counts as bound.
"""

import builtins
import re
import symtable
import warnings
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from incoder.inference.syntax.languages import PYTHON, UNKNOWN, syntax_of
from incoder.inference.syntax_errors.filled_text import FilledText
from incoder.inference.syntax_errors.python_windows import extent

_NUM_LINES = 60  # on either side of a hole
_DOUBLE_UNDERSCORES = re.compile(r"__\w+__")  # names that Python itself binds
_IMPORTS_ALL = re.compile(r"import\s*\*")


def leave_unbound(
    around: Sequence[str], candidates: Sequence[Sequence[str]], path: str | PurePath | None
) -> list[int]:
    """Return for each candidate how many names its text between the parts `around` uses and binds nowhere.

    All lines end with `\\n`. The extension of `path` names the language; it is 0 unless that may be Python.

    >>> leave_unbound(["def f(x):\\n    return ", "\\n"], [["x"], ["y"]], PurePath("a.py"))
    [0, 1]
    """
    is_alike = len(around) < 2 or len(set(map(tuple, candidates))) < 2
    if is_alike or syntax_of(path, around[0]) not in (PYTHON, UNKNOWN):
        return [0] * len(candidates)
    return num_unbound_names([FilledText(tuple(around), tuple(infills)) for infills in candidates])


def num_unbound_names(texts: Sequence[FilledText]) -> list[int]:
    """Return for each text how many names are used around its holes and bound nowhere.

    It is 0 where nobody can know: if the lines do not parse, or import all names of a module.

    >>> around = ("def f(x):\\n    return ", "\\n")
    >>> num_unbound_names([FilledText(around, (infill,)) for infill in ("x", "len(x) + y + z")])
    [0, 2]
    """
    return [sum(_num_unbound(text, hole) for hole in range(len(text.infills))) for text in texts]


def _num_unbound(text: FilledText, hole: int) -> int:
    found = extent(text, hole, _NUM_LINES)
    if found is None or _IMPORTS_ALL.search(text.text):
        return 0
    module = found.blocks + text.text[found.start : found.end]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about strings such as "\d"
            table = symtable.symtable(module.encode("utf-8", "replace").decode(), "", "exec")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return 0
    elsewhere = text.text[: found.start], text.text[found.end :]
    return sum(not any(_occurs(name, one) for one in elsewhere) for name in _unbound(table))


def _unbound(module: symtable.SymbolTable) -> set[str]:
    """Return the names that some scope takes from the module, which does not bind them."""
    bound = {one.get_name() for one in module.get_symbols() if _binds(one)}
    used = set[str]()
    for table in _scopes(module):
        for one in table.get_symbols():
            is_module = table is module
            if one.is_referenced() and (is_module or one.is_global()):
                used.add(one.get_name())
            if one.is_declared_global() and _binds(one):
                bound.add(one.get_name())
    unbound = used - bound - set(dir(builtins))
    return {name for name in unbound if not _DOUBLE_UNDERSCORES.fullmatch(name)}


def _binds(symbol: symtable.Symbol) -> bool:
    return symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()


def _scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _scopes(child)


def _occurs(name: str, text: str) -> bool:
    return name in text and re.search(rf"\b{re.escape(name)}\b", text) is not None
