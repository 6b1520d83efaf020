"""Names of types: which a place knows, which an import can add, and where that import goes."""

import ast
import builtins
import collections.abc
import re
import sys
import typing
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import takewhile

from incoder.tasks.edits import Edit
from incoder.tasks.lines import line_end
from incoder.tasks.python_source import Definition, PythonSource, own_nodes

Import = ast.Import | ast.ImportFrom

# What an annotation may name without it being imported yet: the last line that has a name wins.
_KNOWN: dict[str, str] = {
    **{name: "typing" for name in typing.__all__ if name[:1].isupper()},
    **dict.fromkeys(collections.abc.__all__, "collections.abc"),
    **dict.fromkeys(("Counter", "OrderedDict", "defaultdict", "deque"), "collections"),
    **dict.fromkeys(("ModuleType", "TracebackType", "SimpleNamespace"), "types"),
    **dict.fromkeys(("Path", "PurePath"), "pathlib"),
    "Decimal": "decimal",
    "Fraction": "fractions",
    "UUID": "uuid",
    "Enum": "enum",
    "timedelta": "datetime",
}
_BUILTIN_TYPES = {name for name, value in vars(builtins).items() if isinstance(value, type)} | {"None"}


class TypeNames:
    """What the names in annotations of one file can mean."""

    def __init__(self, source: PythonSource) -> None:
        self._source = source
        self._imported = {name: node for node in self._imports() for name in _bound(node)}
        self._classes = {named.name: named.node for named in source.definitions if named.kind == "class"}
        self._assigned = {
            node.id
            for node in own_nodes(source.tree)
            if isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Store)
            and node.id.strip("_")[:1].isupper()
        }
        self._others = {named.name for named in source.definitions if named.kind != "class"} | {
            f"{named.name}.{node.id}"
            for named in source.definitions
            if named.kind == "class"
            for node in own_nodes(named.node)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        self._type_checking = {
            id(node) for block in _type_checking_blocks(source) for node in ast.walk(block)
        }
        self.is_deferred = any(
            isinstance(node, ast.ImportFrom)
            and node.module == "__future__"
            and any(alias.name == "annotations" for alias in node.names)
            for node in source.tree.body
        )

    def is_known(self, name: str, owner: str) -> bool:
        """Whether the name is that of a type at module level, in the classes around `owner`, or a builtin."""
        scopes = [owner.rpartition(".")[0]] if owner else []
        if any(f"{scope}.{name}" in self._classes for scope in (*scopes, owner) if scope):
            return True
        return (
            name in self._imported
            or name in self._assigned
            or name in self._classes
            or name in _BUILTIN_TYPES
        )

    def is_hidden(self, name: str, owner: str) -> bool:
        """Whether the name means a function or an attribute there, be there a type of the name or not."""
        scopes = [owner]
        while scopes[-1]:
            scopes.append(scopes[-1].rpartition(".")[0])
        return any((f"{scope}.{name}" if scope else name) in self._others for scope in scopes)

    def module_of(self, name: str) -> str | None:
        """From where the name could be imported."""
        return None if name in _BUILTIN_TYPES else _KNOWN.get(name)

    def is_later(self, name: str, place: int) -> bool:
        """Whether the name means nothing yet when the code at `place` runs: its class ends behind it."""
        node = self._classes.get(name)
        if node is not None:
            return self._source.end(node) > place
        return name in self._imported and id(self._imported[name]) in self._type_checking

    def import_edits(self, names: Iterable[str]) -> list[Edit]:
        """What adds the imports of these names that the file lacks."""
        wanted: dict[str, list[str]] = defaultdict(list)
        for name in sorted(set(names)):
            module = self.module_of(name)
            if module is not None and not self.is_known(name, ""):
                wanted[module].append(name)
        edits: list[Edit] = []
        for module, missing in sorted(wanted.items()):
            statement = self._statement_from(module)
            if statement is not None:
                edits += [self._added(statement, name) for name in missing]
            else:
                edits.append(self._new_line(module, f"from {module} import {', '.join(missing)}"))
        return edits

    def _imports(self) -> Iterator[Import]:
        for node in own_nodes(self._source.tree):
            if isinstance(node, Import):
                yield node

    def _statement_from(self, module: str) -> ast.ImportFrom | None:
        return next(
            (
                node
                for node in self._source.tree.body
                if isinstance(node, ast.ImportFrom)
                and (node.module, node.level) == (module, 0)
                and node.names[0].name != "*"
            ),
            None,
        )

    def _added(self, statement: ast.ImportFrom, name: str) -> Edit:
        """One more name in an import: in its order where the names are in order, else at the end."""
        text, place = self._source.text, self._source.place
        names = [alias.name for alias in statement.names]
        first = statement.names[0]
        is_one_a_line = len({alias.lineno for alias in statement.names}) == len(names) > 1
        line = self._source.lines.start(first.lineno)
        gap = line_end(text) + text[line : place(first.lineno, first.col_offset)] if is_one_a_line else " "
        if gap.strip():  # the first name stands beside the bracket
            gap = " "
        if names == sorted(names):
            behind = next((alias for alias in statement.names if alias.name > name), None)
            if behind is not None:
                start = place(behind.lineno, behind.col_offset)
                return Edit(start, start, f"{name},{gap}")
        last = statement.names[-1]
        assert last.end_lineno is not None
        assert last.end_col_offset is not None
        end = place(last.end_lineno, last.end_col_offset)
        return Edit(end, end, f",{gap}{name}")

    def _new_line(self, module: str, line: str) -> Edit:
        """A new import among those of the standard library, else before the others, else at the top."""
        body, newline = list(self._source.tree.body), line_end(self._source.text)
        head = []
        if ast.get_docstring(self._source.tree, clean=False) is not None:
            head.append(body.pop(0))
        while body and isinstance(body[0], ast.ImportFrom) and body[0].module == "__future__":
            head.append(body.pop(0))
        imports = list(takewhile(lambda node: isinstance(node, Import), body))
        block = self._first_block(imports)
        if block and all(_module(node).partition(".")[0] in sys.stdlib_module_names for node in block):
            before = [node for node in block if _order(node) <= (True, module)]
            if before:
                return self._behind(before[-1], line + newline)
            start = self._source.lines.start(block[0].lineno)
            return Edit(start, start, line + newline)
        if imports:
            start = self._source.lines.start(imports[0].lineno)
            return Edit(start, start, line + 2 * newline)
        if head:
            gap = (
                ""
                if re.match(r"\s*\n\s*\n|\s*\Z", self._source.text[self._source.end(head[-1]) :])
                else newline
            )
            return self._behind(head[-1], newline + line + newline + gap)
        start = self._source.lines.start(body[0].lineno) if body else len(self._source.text)
        if body and isinstance(body[0], Definition):
            start = self._source.lines.start(
                min([body[0].lineno, *(decorator.lineno for decorator in body[0].decorator_list)])
            )
        mark = 1 if start == 0 and self._source.text.startswith("\ufeff") else 0
        return Edit(start + mark, start + mark, line + 2 * newline)

    def _first_block(self, imports: list[ast.stmt]) -> list[ast.stmt]:
        """The first imports up to a blank line."""
        block: list[ast.stmt] = []
        for node in imports:
            if block and node.lineno > (block[-1].end_lineno or 0) + 1:
                break
            block.append(node)
        return block

    def _behind(self, node: ast.stmt, new: str) -> Edit:
        """An insertion at the start of the line behind a statement."""
        start = self._source.lines.start((node.end_lineno or node.lineno) + 1)
        is_ended = self._source.text[:start].endswith(("\n", "\r"))
        return Edit(start, start, new if is_ended else line_end(self._source.text) + new)


def _bound(node: Import) -> list[str]:
    return [alias.asname or alias.name.partition(".")[0] for alias in node.names]


def _module(node: ast.stmt) -> str:
    if isinstance(node, ast.ImportFrom):
        return "." * node.level + (node.module or "")
    assert isinstance(node, ast.Import)
    return node.names[0].name


def _order(node: ast.stmt) -> tuple[bool, str]:
    return isinstance(node, ast.ImportFrom), _module(node)


def _type_checking_blocks(source: PythonSource) -> Iterator[ast.If]:
    for node in source.tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING":
            yield node
