"""The missing annotations of a Python file, each with its type if the code determines it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from incoder.editing.edits import Edit
from incoder.editing.python_source import Function, Named, PythonSource, own_nodes, parameters
from incoder.editing.types.type_names import TypeNames

Kind = Literal["return", "parameter", "variable"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_GENERATORS = ("Iterator", "Generator", "Iterable", "Any")
_ASYNC_GENERATORS = ("AsyncIterator", "AsyncGenerator", "AsyncIterable", "Any")

# Type checkers read the result of these as a type, as long as its name has no annotation.
_MAKE_TYPES = (
    *("TypeVar", "TypeVarTuple", "ParamSpec", "NewType", "TypeAliasType"),
    *("namedtuple", "NamedTuple", "TypedDict", "Enum"),
)


@dataclass(frozen=True, slots=True)
class MissingAnnotation:
    """A return, parameter or variable without an annotation.

    An edit replaces the range `start` to `end` by `before`, the annotation, and `after`. `owner` is the
    definition to which it belongs, "" for the module; `default` is the default value of a parameter.
    Annotations of local variables are not evaluated. `certain` is the annotation if the code determines it,
    else empty. The return type of a generator is one of `generics`; if `is_iterator`, it is the first of them
    with the yielded type in brackets.
    """

    kind: Kind
    name: str
    owner: str
    line: int
    start: int
    end: int
    before: str
    after: str = ""
    default: ast.expr | None = None
    is_evaluated: bool = True
    certain: str = ""
    generics: tuple[str, ...] = ()
    is_iterator: bool = False

    def edit(self, annotation: str) -> Edit:
        """The edit that writes this annotation."""
        return Edit(self.start, self.end, self.before + annotation + self.after)

    def annotation(self, edit: Edit) -> str:
        """The annotation that an edit of this place writes."""
        return edit.text.removeprefix(self.before).removesuffix(self.after)

    def __str__(self) -> str:
        what = "return type" if self.kind == "return" else f"type of {self.kind} {self.name}"
        return f"{what} of {self.owner}" if self.owner else what


def missing_annotations(source: PythonSource) -> list[MissingAnnotation]:
    """The returns, parameters and variables without an annotation or type comment, in the order of the text.

    >>> [str(one) for one in missing_annotations(PythonSource("def f(x):\\n    return x\\n"))]
    ['type of parameter x of f', 'return type of f']
    """
    plain, type_names = _plain_classes(source), TypeNames(source)
    found = list(_variables(source, None, plain, type_names))
    for named in source.definitions:
        found += _variables(source, named, plain, type_names)
        if isinstance(named.node, Function) and not source.has_typed_header(named.node):
            found += _parameters(source, named, named.node)
            found += _return(source, named, named.node)
    return sorted(found, key=lambda missing: missing.start)


def _parameters(source: PythonSource, named: Named, function: Function) -> Iterator[MissingAnnotation]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: dict[ast.arg, ast.expr | None] = dict(
        zip(reversed(positional), reversed(arguments.defaults), strict=False)
    )
    defaults |= dict(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))
    for argument in parameters(named):
        start, default, after = source.end(argument), defaults.get(argument), ""
        last_line = argument.lineno if default is None else default.end_lineno
        if argument.annotation is not None or last_line in source.type_comments:
            continue
        end = start
        if default is not None and source.text[start : source.start(default)].strip(" \t") == "=":
            end, after = source.start(default), " = "  # PEP 8: with an annotation, spaces around the `=`
        name = argument.arg
        yield MissingAnnotation(
            "parameter", name, named.name, argument.lineno, start, end, ": ", after, default
        )


def _return(source: PythonSource, named: Named, function: Function) -> Iterator[MissingAnnotation]:
    if function.returns is not None:
        return
    *_, (_, _, place), _ = source.header_tokens(function)
    missing = MissingAnnotation("return", function.name, named.name, function.lineno, place, place, " -> ")
    own = list(own_nodes(function))
    yields = [node for node in own if isinstance(node, ast.Yield | ast.YieldFrom)]
    if not yields:
        yield replace(missing, certain="None" if _returns_nothing(function, own) else "")
        return
    generics = _ASYNC_GENERATORS if isinstance(function, ast.AsyncFunctionDef) else _GENERATORS
    # All yields of an iterator are statements: it receives no values, and returns none at its end.
    num_statements = sum(isinstance(node, ast.Expr) and node.value in yields for node in own)
    is_iterator = num_statements == len(yields) and not _returns_value(own)
    is_bare = all(isinstance(node, ast.Yield) and _is_none(node.value) for node in yields)
    certain = f"{generics[0]}[None]" if is_iterator and is_bare else ""
    yield replace(missing, certain=certain, generics=generics, is_iterator=is_iterator)


def _returns_nothing(function: Function, own: list[ast.AST]) -> bool:
    """Whether a function certainly returns None: it is no stub, and none of its returns has a value."""
    idle = (ast.Pass, ast.Raise)
    is_stub = all(
        isinstance(statement, idle)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in function.body
    )
    return not _returns_value(own) and (not is_stub or function.name == "__init__")


def _returns_value(own: list[ast.AST]) -> bool:
    return any(isinstance(node, ast.Return) and node.value is not None for node in own)


def _is_none(node: ast.expr | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def _variables(
    source: PythonSource, named: Named | None, plain: set[str], type_names: TypeNames
) -> Iterator[MissingAnnotation]:
    """The names that a plain assignment binds first; a later assignment must not be annotated again."""
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
        if type_names.is_alias(statement) or statement.end_lineno in source.type_comments:
            continue
        owner, place = named.name if named else "", source.end(target)
        is_local = isinstance(node, Function)
        yield MissingAnnotation(
            "variable", target.id, owner, target.lineno, place, place, ": ", is_evaluated=not is_local
        )


def _plain_classes(source: PythonSource) -> set[str]:
    """The classes in which an annotation has no effect at run time, unlike in a dataclass.

    Neither these classes nor the bases and subclasses of theirs in this file have decorators, keywords, or
    bases from another file.
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
    """The names of a scope that an import, a definition, a pattern or an `except … as` binds."""
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
