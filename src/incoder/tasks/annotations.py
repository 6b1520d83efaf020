"""Annotations of Python: places that lack one, and what of a model's fill is one.

Knows the syntax (PEP 484, 526, 604) and what names an annotation has; not what they mean.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from incoder.tasks.edits import Edit
from incoder.tasks.python_source import Function, Named, PythonSource, own_nodes, parameters

Kind = Literal["return", "parameter", "variable"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_ENDS = frozenset(",)]}:=#\n;")  # where no bracket is open, these end an annotation
_MAX_LENGTH = 100  # characters; nobody reads a longer one, and models that run on write such

# What these return is a type to type checkers, as long as its name has no annotation.
_MAKE_TYPES = (
    *("TypeVar", "TypeVarTuple", "ParamSpec", "NewType", "TypeAliasType"),
    *("namedtuple", "NamedTuple", "TypedDict", "Enum"),
)


@dataclass(frozen=True, slots=True)
class Slot:
    """A place without annotation: between `start` and `end` comes `before`, the annotation, then `behind`.

    `owner` is the definition that it belongs to, "" for the module; `default` is the parameter's. Annotations
    of local variables are not evaluated. `returns_nothing`: there is no doubt that it is None.
    """

    kind: Kind
    name: str
    owner: str
    line: int
    start: int
    end: int
    before: str
    behind: str = ""
    default: ast.expr | None = None
    is_evaluated: bool = True
    returns_nothing: bool = False

    def edit(self, annotation: str) -> Edit:
        return Edit(self.start, self.end, self.before + annotation + self.behind)

    def annotation(self, edit: Edit) -> str:
        """What such an edit puts here."""
        return edit.text.removeprefix(self.before).removesuffix(self.behind)

    def __str__(self) -> str:
        what = "return type" if self.kind == "return" else f"type of {self.kind} {self.name}"
        return f"{what} of {self.owner}" if self.owner else what


def slots(source: PythonSource) -> list[Slot]:
    """All places of a file that lack an annotation, in the order of the text."""
    plain = _plain_classes(source)
    found = list(_variables(source, None, plain))
    for named in source.definitions:
        found += _variables(source, named, plain)
        if isinstance(named.node, Function):
            found += _parameters(source, named, named.node)
            found += _return(source, named, named.node)
    return sorted(found, key=lambda slot: slot.start)


def annotation_in(fill: str) -> str | None:
    """The annotation at the start of a fill, None where there is none."""
    depth, end = 0, len(fill)
    for match in re.finditer(r"""'[^'\n]*'|"[^"\n]*"|.""", fill, re.DOTALL):
        mark = match[0]
        if depth == 0 and mark in _ENDS:
            end = match.start()
            break
        depth += (mark in "([{") - (mark in ")]}")
    text = " ".join(fill[:end].split())
    if not text or len(text) > _MAX_LENGTH:
        return None
    try:
        expression = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return None
    return text if _is_annotation(expression) else None


def quoted(annotation: str) -> str:
    """The annotation as a string, which is not evaluated where it stands."""
    if "Literal" in annotation:
        return repr(annotation)
    bare = annotation.replace('"', "").replace("'", "")
    return f'"{bare}"'


def names_in(annotation: str) -> set[str]:
    """The names that must be known where the annotation stands, those in its quotes included."""
    return set(_names(ast.parse(annotation, mode="eval").body))


def admits_none(annotation: str) -> bool:
    """Whether None is among the values, as far as the annotation itself tells."""
    return bool(re.search(r"\b(None|Optional|Any|object)\b", annotation))


def _parameters(source: PythonSource, named: Named, function: Function) -> Iterator[Slot]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: dict[ast.arg, ast.expr | None] = dict(
        zip(reversed(positional), reversed(arguments.defaults), strict=False)
    )
    defaults |= dict(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))
    for argument in parameters(function):
        if argument.annotation is not None:
            continue
        start, default, behind = source.end(argument), defaults.get(argument), ""
        end = start
        if default is not None and source.text[start : source.start(default)].strip(" \t") == "=":
            end, behind = source.start(default), " = "  # PEP 8: blanks around it beside an annotation
        name = argument.arg
        yield Slot("parameter", name, named.name, argument.lineno, start, end, ": ", behind, default)


def _return(source: PythonSource, named: Named, function: Function) -> Iterator[Slot]:
    if function.returns is None:
        *_, (_, _, place), _ = source.header_tokens(function)
        yield Slot(
            "return",
            function.name,
            named.name,
            function.lineno,
            place,
            place,
            " -> ",
            returns_nothing=_returns_nothing(function),
        )


def _returns_nothing(function: Function) -> bool:
    """Whether a function surely returns None: it has a body that does something, and returns no value."""
    own = list(own_nodes(function))
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own):
        return False
    if any(isinstance(node, ast.Return) and node.value is not None for node in own):
        return False
    idle = (ast.Pass, ast.Raise)
    is_stub = all(
        isinstance(statement, idle)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in function.body
    )
    return not is_stub or function.name == "__init__"


def _variables(source: PythonSource, named: Named | None, plain: set[str]) -> Iterator[Slot]:
    """Names that are first bound by a plain assignment; later ones must not be annotated again."""
    node = source.tree if named is None else named.node
    if named is not None and isinstance(node, ast.ClassDef) and named.name not in plain:
        return
    own = list(own_nodes(node))
    taken = _bound_otherwise(source, named, own)
    taken |= {name for one in own if isinstance(one, ast.Global | ast.Nonlocal) for name in one.names}
    taken |= {
        one.target.id for one in own if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    }
    if isinstance(node, Function):
        taken |= {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
    bound = sorted(
        (one for one in own if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)), key=source.start
    )
    first = {one.id: one for one in reversed(bound)}
    for statement in own:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            continue
        target = statement.targets[0]
        if not isinstance(target, ast.Name) or first.get(target.id) is not target:
            continue
        if target.id in taken or target.id.startswith("__") or target.id == "_":
            continue
        if isinstance(statement.value, ast.Call) and _last_name(statement.value.func) in _MAKE_TYPES:
            continue
        owner, place = named.name if named else "", source.end(target)
        is_local = isinstance(node, Function)
        yield Slot("variable", target.id, owner, target.lineno, place, place, ": ", is_evaluated=not is_local)


def _plain_classes(source: PythonSource) -> set[str]:
    """The classes of whose attributes' annotations nobody makes anything, as dataclasses and tuples do.

    They and those that they are related to in this file have no decorators, and no bases from elsewhere.
    """
    classes = [
        (named.name, named.node) for named in source.definitions if isinstance(named.node, ast.ClassDef)
    ]
    names = {name for name, _ in classes}
    bases = [{ast.unparse(base) for base in node.bases} - {"object"} for _, node in classes]
    odd = {
        name
        for (name, node), above in zip(classes, bases, strict=True)
        if node.decorator_list or node.keywords or not above <= names
    }
    num_before = -1
    while num_before < len(odd):
        num_before = len(odd)
        for (name, _), above in zip(classes, bases, strict=True):
            if name in odd:
                odd |= above & names
            elif above & odd:
                odd.add(name)
    return names - odd


def _bound_otherwise(source: PythonSource, named: Named | None, own: list[ast.AST]) -> set[str]:
    """Names of a scope that something else than a name on its own binds, such as an import or a pattern."""
    scope = source.tree if named is None else named.node
    bound: set[str | None] = {
        inner.node.name
        for inner in source.definitions
        if (inner.parents[-1] if inner.parents else source.tree) is scope
    }
    for node in own:
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            bound.add(node.name)
        elif isinstance(node, ast.MatchMapping):
            bound.add(node.rest)
    return {name for name in bound if name is not None}


def _last_name(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def _is_annotation(node: ast.expr, is_inside: bool = False) -> bool:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return annotation_in(node.value) == node.value
        return node.value is None or (is_inside and node.value is Ellipsis)
    if isinstance(node, ast.Name):
        return True
    if isinstance(node, ast.Attribute):
        return isinstance(node.value, ast.Name | ast.Attribute) and _is_annotation(node.value)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.BitOr) and all(map(_is_annotation, (node.left, node.right)))
    if isinstance(node, ast.Subscript):
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if _is_literal(node):
            return all(isinstance(one, ast.Constant) for one in inner)
        return isinstance(node.value, ast.Name | ast.Attribute) and all(
            _is_annotation(one, True) for one in inner
        )
    if isinstance(node, ast.List):
        return is_inside and all(_is_annotation(one, True) for one in node.elts)
    return False


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from names_in(node.value)
    elif isinstance(node, ast.Subscript) and _is_literal(node):
        yield from _names(node.value)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _names(child)


def _is_literal(node: ast.Subscript) -> bool:
    return _last_name(node.value) == "Literal"
