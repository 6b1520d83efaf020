"""A check that in a renamed text every name resolves to the same scope as before.

It compares the symbol tables of Python's own compiler (`symtable`), so it finds whatever a library overlooks.
"""

import symtable
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from incoder.editing.python_source import BYTE_ORDER_MARK, readable

Path = tuple[int, ...]
_GLOBAL: Path = ()
_INLINES_COMPREHENSIONS = sys.version_info >= (3, 12)


@dataclass(frozen=True, slots=True)
class _Meaning:
    """The scope to which a name resolves, and how this scope uses the name."""

    binding: Path
    uses: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    kind: str
    names: dict[str, _Meaning]


def difference(old_text: str, new_text: str, old: str, new: str) -> str | None:
    """Describe a change of meaning between two texts; None if only one variable's name has changed.

    One binding of `old` must have become `new` wherever it is used, and nothing else may be different.

    >>> difference("x = 1\\ny = 2\\n", "y = 1\\ny = 2\\n", "x", "y")
    'y is used there already'
    """
    before, after = _tables(old_text), _tables(new_text)
    if [table.kind for table in before.values()] != [table.kind for table in after.values()]:
        return "the scopes are no longer the same"
    renamed = {
        table.names[old].binding
        for path, table in before.items()
        if old in table.names and _is_gone(old, table, after[path])
    }
    if not renamed and all(
        _without_inlined(after[path].names, table.names, new) == table.names for path, table in before.items()
    ):
        return None if before != after else f"{old} would remain"
    if len(renamed) != 1:
        return (
            f"{old} would be renamed in {len(renamed)} scopes at once" if renamed else f"{old} would remain"
        )
    (binding,) = renamed
    if any(new in table.names and table.names[new].binding == binding for table in before.values()):
        return f"{new} is used there already"  # it may be a global that no scope of this file binds
    for path, table in before.items():
        expected: dict[str, _Meaning] = {}
        for name, meaning in table.names.items():
            called = new if name == old and meaning.binding == binding else name
            if called in expected:
                return f"{new} is used there already"
            expected[called] = meaning
        if expected != _without_inlined(after[path].names, expected, old):
            return f"{new} would mean something else than {old} does in a part of its scope"
    return None


def _without_inlined(
    names: dict[str, _Meaning], expected: Mapping[str, _Meaning], name: str
) -> dict[str, _Meaning]:
    """The names of a scope without this one, if only an inlined comprehension can have bound it there.

    Since Python 3.12, comprehensions are inlined and their variables count as the scope's (PEP 709). The
    comparison of the syntax trees (syntax_tree_check.py) distinguishes them.
    """
    if not _INLINES_COMPREHENSIONS or names.keys() - expected.keys() != {name}:
        return names
    meaning = names[name]
    is_parameter, is_assigned = meaning.uses[0], meaning.uses[4]
    if meaning.binding == _GLOBAL or is_parameter or not is_assigned:
        return names
    return {other: found for other, found in names.items() if other != name}


def _is_gone(old: str, before: _Table, after: _Table) -> bool:
    return old not in after.names or after.names[old] != before.names[old]


@lru_cache(maxsize=2)  # the old text is compared with the text of each new name
def _tables(text: str) -> Mapping[Path, _Table]:
    top = symtable.symtable(readable(text.removeprefix(BYTE_ORDER_MARK)), "<text>", "exec")
    return dict(_walk([top], ()))


def _walk(tables: list[symtable.SymbolTable], path: Path) -> Iterator[tuple[Path, _Table]]:
    table = tables[-1]
    names = {symbol.get_name(): _meaning(symbol, tables, path) for symbol in table.get_symbols()}
    # A name without uses only passes through this scope, from an outer to an inner one.
    used = {name: meaning for name, meaning in names.items() if any(meaning.uses)}
    yield path, _Table(table.get_type(), used)
    for index, child in enumerate(table.get_children()):
        yield from _walk([*tables, child], (*path, index))


def _meaning(symbol: symtable.Symbol, tables: list[symtable.SymbolTable], path: Path) -> _Meaning:
    uses = (
        symbol.is_parameter(),
        symbol.is_imported(),
        symbol.is_declared_global(),
        symbol.is_nonlocal(),
        symbol.is_assigned(),
        symbol.is_referenced(),
        symbol.is_annotated(),
        symbol.is_namespace(),
    )
    return _Meaning(_binding(symbol, tables, path), uses)


def _binding(symbol: symtable.Symbol, tables: list[symtable.SymbolTable], path: Path) -> Path:
    if symbol.is_global():
        return _GLOBAL
    if not symbol.is_free():
        return path
    for depth in range(len(tables) - 2, 0, -1):
        table = tables[depth]
        if table.get_type() == "class" or symbol.get_name() not in table.get_identifiers():
            continue
        outer = table.lookup(symbol.get_name())
        if outer.is_local() and not outer.is_free():
            return path[:depth]
    return _GLOBAL
