"""A Python file's syntax tree, with positions in the original text.

Positions count the byte order mark and all characters of line ends. Strings and comments may have bytes that
are not UTF-8, which are lone surrogates in the text.
"""

import ast
import io
import re
import tokenize
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from incoder.editing.lines import BYTE_ORDER_MARK as BYTE_ORDER_MARK  # imported from here, too
from incoder.editing.lines import Lines
from incoder.errors import IncoderError

_TYPE_COMMENT = re.compile(r"#\s*type:\s*(?!ignore\b)\S")
_SURROGATES = re.compile("[\ud800-\udfff]")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Function = ast.FunctionDef | ast.AsyncFunctionDef
_SCOPES = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


@dataclass(frozen=True, slots=True)
class Named:
    """A function or class with its dotted name, such as `Class.method`; `parents` are those around it."""

    name: str
    node: Definition
    parents: tuple[Definition, ...]

    @property
    def kind(self) -> str:
        """`class`, `method` or `function`."""
        if isinstance(self.node, ast.ClassDef):
            return "class"
        return "method" if self.parents and isinstance(self.parents[-1], ast.ClassDef) else "function"

    @property
    def first_line(self) -> int:
        """The first line of the definition, decorators included."""
        return min([self.node.lineno, *(decorator.lineno for decorator in self.node.decorator_list)])

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class PythonSource:
    """The text, syntax tree and definitions of one file.

    Raises:
        IncoderError: the text does not parse.

    >>> source = PythonSource("class A:\\n    def f(self): ...\\n")
    >>> [str(one) for one in source.definitions]
    ['class A', 'method A.f']
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = Lines(text)
        try:
            self.tree = _parsed(text)
        except SyntaxError as error:
            raise IncoderError(
                f"not Python that can be read: {_described(error)}; mend that, then try again"
            ) from error

    def place(self, line: int, column_in_bytes: int) -> int:
        """The position in the text of a line and a column of the syntax tree, which counts bytes."""
        start, end = self.lines.start(line), self.lines.start(line + 1)
        content = readable(self.text[start:end])
        return start + len(content.encode()[:column_in_bytes].decode())

    def start(self, node: ast.expr | ast.stmt | ast.arg) -> int:
        """The position at which a node begins."""
        return self.place(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.stmt | ast.arg) -> int:
        """The position after a node."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.place(node.end_lineno, node.end_col_offset)

    def docstring(self, node: ast.Module | Definition) -> tuple[int, int] | None:
        """The range of a docstring's literals, without parentheses around them; None without a docstring."""
        if ast.get_docstring(node, clean=False) is None:
            return None
        (statement, *_) = node.body
        assert isinstance(statement, ast.Expr)
        return self.start(statement.value), self.end(statement.value)

    @cached_property
    def type_comments(self) -> frozenset[int]:
        """The lines with a type comment, such as `# type: (int) -> str` (PEP 484)."""
        return frozenset(token.start[0] for token in self._comments() if _TYPE_COMMENT.match(token.string))

    def has_typed_header(self, function: Function) -> bool:
        """Whether the function has a type comment, after its colon or before its first statement."""
        *_, (_, _, colon) = self.header_tokens(function)
        return not self.type_comments.isdisjoint(range(self.lines.number(colon - 1), function.body[0].lineno))

    def _comments(self) -> Iterator[tokenize.TokenInfo]:
        """The comments of the text, up to the first error of the tokenizer."""
        stream = io.StringIO(readable(self.text.removeprefix(BYTE_ORDER_MARK)), newline="")
        with suppress(tokenize.TokenError, SyntaxError):
            yield from (
                token for token in tokenize.generate_tokens(stream.readline) if token.type == tokenize.COMMENT
            )

    def header_tokens(self, node: Definition) -> Iterator[tuple[str, int, int]]:
        """The tokens of a definition from `def` or `class` to its colon, each with its start and end."""
        begin, depth = self.start(node), 0
        definition = self.text[begin : self.end(node)]
        lines = Lines(definition)
        stream = io.StringIO(readable(definition), newline="")
        for token in tokenize.generate_tokens(stream.readline):
            start, end = (begin + lines.start(line) + column for line, column in (token.start, token.end))
            if token.type in (tokenize.OP, tokenize.NAME, tokenize.NUMBER, tokenize.STRING):
                depth += (token.string in "([{") - (token.string in ")]}")
                yield token.string, start, end
                if token.string == ":" and depth == 0:
                    return

    @cached_property
    def definitions(self) -> tuple[Named, ...]:
        """All functions and classes, in the order of the text."""
        found = list(_definitions(self.tree))
        return tuple(sorted(found, key=lambda named: (named.node.lineno, named.node.col_offset)))

    def find(self, name: str) -> tuple[Named, ...]:
        """The definitions with this dotted name, or else those whose dotted name ends with it.

        Raises:
            IncoderError: there is no such definition.
        """
        whole = tuple(named for named in self.definitions if named.name == name)
        found = whole or tuple(named for named in self.definitions if named.name.endswith(f".{name}"))
        if not found:
            known = ", ".join(dict.fromkeys(named.name for named in self.definitions[:12]))
            has = (
                f"it defines {known}{' …' if len(self.definitions) > 12 else ''}" if known else "it has none"
            )
            raise IncoderError(f"there is no function or class {name} in this file; {has}")
        return found

    def find_one(self, name: str) -> Named:
        """The only definition that `find` finds.

        Raises:
            IncoderError: it finds none, or more than one.
        """
        found = self.find(name)
        if len(found) > 1:
            listed = ", ".join(f"{named.name} in line {named.node.lineno}" for named in found)
            raise IncoderError(f"{name} is ambiguous: {listed}; give the whole name, or --lines")
        return found[0]

    def span(self, named: Named) -> tuple[int, int]:
        """The range of whole lines of a definition, its decorators included."""
        assert named.node.end_lineno is not None
        return self.lines.span(named.first_line, named.node.end_lineno)


def parameters(named: Named) -> list[ast.arg]:
    """The parameters of a function in order, without the `self` or `cls` of a method.

    `self` or `cls` is the first parameter of any function in a class but a static method, whatever its name.
    """
    assert isinstance(named.node, Function)
    arguments = named.node.args
    before = [*arguments.posonlyargs, *arguments.args]
    if named.kind == "method" and not _is_static(named.node):
        before = before[1:]
    between = [arguments.vararg] if arguments.vararg else []
    after = [arguments.kwarg] if arguments.kwarg else []
    return [*before, *between, *arguments.kwonlyargs, *after]


def own_nodes(scope: ast.Module | Definition) -> Iterator[ast.AST]:
    """The nodes of a body, without functions, classes, lambdas and comprehensions and everything in them."""
    waiting: deque[ast.AST] = deque(scope.body)
    while waiting:
        node = waiting.popleft()
        if not isinstance(node, _SCOPES):
            yield node
            waiting += ast.iter_child_nodes(node)


def python_syntax_error(text: str) -> str | None:
    """Describe the error of a Python text with its line; None if the text compiles."""
    error = _compile_error(text)
    return _described(error) if error is not None else None


def syntax_error_line(text: str) -> int | None:
    """The line of a Python text's syntax error; None if the text compiles."""
    error = _compile_error(text)
    return None if error is None else error.lineno or 1


def parsed_or_none(text: str) -> ast.Module | None:
    """The syntax tree of a text, None if the text is not Python."""
    try:
        return _parsed(text)
    except SyntaxError:
        return None


def readable(text: str) -> str:
    """Replace every byte that is not UTF-8 by U+FFFD; only strings and comments can have such bytes."""
    return _SURROGATES.sub("\ufffd", text)


def _parsed(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the user's invalid escapes are not ours to report
            return ast.parse(readable(text.removeprefix(BYTE_ORDER_MARK)))
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(str(error)) from error


def _compile_error(text: str) -> SyntaxError | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(_parsed(text), "<text>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes, or nested too deeply
        return SyntaxError(str(error))
    return None


def _described(error: SyntaxError) -> str:
    where = f" (line {error.lineno})" if error.lineno else ""
    return f"{error.msg}{where}"


def _is_static(function: Function) -> bool:
    names = {ast.unparse(decorator).rpartition(".")[2] for decorator in function.decorator_list}
    return "staticmethod" in names and function.name != "__new__"


def _definitions(tree: ast.Module) -> Iterator[Named]:
    # Not by recursion: expressions may be nested deeper than Python's own stack.
    waiting: list[tuple[ast.AST, tuple[Definition, ...]]] = [(tree, ())]
    while waiting:
        node, parents = waiting.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Definition):
                yield Named(".".join([*(parent.name for parent in parents), child.name]), child, parents)
                waiting.append((child, (*parents, child)))
            else:
                waiting.append((child, parents))
