"""The style of a file's docstrings, and the sections of a function's docstring in this style.

The code determines the sections and the names in them, and the model writes only their text, so the style
does not depend on the model. There are four styles: plain, Google's, NumPy's, and Sphinx's fields.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from incoder.editing.docstrings.string_literals import opening
from incoder.editing.python_source import Function, Named, PythonSource, own_nodes, parameters

StyleName = Literal["plain", "google", "numpy", "sphinx"]
STYLE_NAMES: tuple[StyleName, ...] = get_args(StyleName)

_SECTIONS: dict[StyleName, re.Pattern[str]] = {
    "google": re.compile(r"^[ \t]*(Args|Arguments|Returns|Yields|Raises):[ \t]*$", re.MULTILINE),
    "numpy": re.compile(r"^[ \t]*(Parameters|Returns|Yields|Raises)[ \t]*\r?\n[ \t]*-{3,}", re.MULTILINE),
    "sphinx": re.compile(r"^[ \t]*:(param|returns?|raises?|rtype)\b", re.MULTILINE),
}
_CLASS_NAME = re.compile(r"_*[A-Z](?=\w*[a-z]|$)")  # not ALL_CAPITALS, which are values
HOLE = None
Pieces = list[str | None]  # text, and HOLE where the model is to write


@dataclass(frozen=True, slots=True)
class Style:
    """A style of docstrings; `starts_below` if the summary begins on the line below the opening quotes."""

    name: StyleName = "plain"
    quote: str = '"""'
    starts_below: bool = False


def style_of(source: PythonSource) -> Style:
    """The style of most docstrings of a file; only functions with parameters show the style of sections.

    >>> style_of(PythonSource("def f():\\n    '''Do it.'''\\n")).quote
    "'''"
    """
    names: Counter[StyleName] = Counter()
    quotes: Counter[str] = Counter()
    num_below = num_multiline = 0
    for named, literal in _docstrings(source):
        start = opening(literal)
        if start is None:
            continue
        quotes[start[1]] += 1
        if "\n" in literal:
            num_multiline += 1
            num_below += bool(re.match(rf"\w?{start[1]}[ \t]*\r?\n", literal))
        if named is not None and isinstance(named.node, Function) and parameters(named):
            names[_style_name(literal)] += 1
    sectioned = [name for name in names if name != "plain"]
    name: StyleName = max(sectioned, key=names.__getitem__, default="plain")
    if names["plain"] > names[name]:
        name = "plain"
    quote = "'''" if quotes["'''"] > quotes['"""'] else '"""'
    return Style(name, quote, 2 * num_below > num_multiline)


def sections(function: Named, style: StyleName, *, unit: str, written: str = "") -> Pieces:
    """The sections of a function's docstring in this style, without those that the text `written` has.

    Every section begins with a line end. `unit` indents its lines below the heading.
    """
    if style == "google":
        return _google(function, written, unit)
    if style == "numpy":
        return _numpy(function, written, unit)
    return _sphinx(function, written) if style == "sphinx" else []


def _google(function: Named, written: str, unit: str) -> Pieces:
    pieces: Pieces = []
    names = [_shown(function, argument) for argument in parameters(function)]
    outcome, raised = _outcome(function), _raised(function)
    if names and not re.search(r"^\s*Arg(ument)?s:", written, re.MULTILINE):
        pieces += ["\n\nArgs:", *_each([f"\n{unit}{name}: " for name in names])]
    if outcome and f"{outcome}:" not in written:
        pieces += [f"\n\n{outcome}:\n{unit}", HOLE]
    if raised and "Raises:" not in written:
        pieces += ["\n\nRaises:", *_each([f"\n{unit}{name}: " for name in raised])]
    return pieces


def _numpy(function: Named, written: str, unit: str) -> Pieces:
    def lacks(title: str) -> bool:
        return not re.search(rf"^\s*{title}\s*$", written, re.MULTILINE)

    def begin(title: str) -> str:
        return f"\n\n{title}\n{'-' * len(title)}"

    pieces: Pieces = []
    heads = [
        _shown(function, argument) + (f" : {ast.unparse(argument.annotation)}" if argument.annotation else "")
        for argument in parameters(function)
    ]
    outcome, raised = _outcome(function), _raised(function)
    if heads and lacks("Parameters"):
        pieces += [begin("Parameters"), *_each([f"\n{head}\n{unit}" for head in heads])]
    if outcome and lacks(outcome):
        returns = _function(function).returns
        pieces += [begin(outcome), "\n", ast.unparse(returns) if returns else HOLE, f"\n{unit}", HOLE]
    if raised and lacks("Raises"):
        pieces += [begin("Raises"), *_each([f"\n{name}\n{unit}" for name in raised])]
    return pieces


def _sphinx(function: Named, written: str) -> Pieces:
    fields = [f":param {argument.arg}:" for argument in parameters(function)]
    fields += [":returns:"] if _outcome(function) and ":return:" not in written else []
    fields += [f":raises {name}:" for name in _raised(function)]
    lacking = _each([f"\n{field} " for field in fields if field not in written])
    return ["\n", *lacking] if lacking and not _SECTIONS["sphinx"].search(written) else lacking


def _docstrings(source: PythonSource) -> Iterator[tuple[Named | None, str]]:
    """The literal of each docstring, with its definition; None for the module."""
    for named in (None, *source.definitions):
        span = source.docstring(source.tree if named is None else named.node)
        if span is not None:
            yield named, source.text[slice(*span)]


def _style_name(docstring: str) -> StyleName:
    return next((name for name, pattern in _SECTIONS.items() if pattern.search(docstring)), "plain")


def _each(heads: list[str]) -> Pieces:
    return [piece for head in heads for piece in (head, HOLE)]


def _function(named: Named) -> Function:
    assert isinstance(named.node, Function)
    return named.node


def _shown(function: Named, argument: ast.arg) -> str:
    """The name of a parameter, with the stars of `*args` and `**kwargs`."""
    arguments = _function(function).args
    if argument is arguments.vararg:
        return f"*{argument.arg}"
    return f"**{argument.arg}" if argument is arguments.kwarg else argument.arg


def _outcome(function: Named) -> str | None:
    """The section for the result: Yields, Returns or None."""
    own = list(own_nodes(_function(function)))
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own):
        return "Yields"
    values = [node.value for node in own if isinstance(node, ast.Return)]
    is_none = [value is None or (isinstance(value, ast.Constant) and value.value is None) for value in values]
    return None if all(is_none) else "Returns"


def _raised(function: Named) -> list[str]:
    """The classes of the exceptions that the function itself raises, in the order of the text."""
    own = list(own_nodes(_function(function)))
    local = {node.id for node in own if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    local |= {node.arg for node in ast.walk(_function(function).args) if isinstance(node, ast.arg)}
    raised = [node.exc for node in own if isinstance(node, ast.Raise) and node.exc is not None]
    classes = [one.func if isinstance(one, ast.Call) else one for one in raised]
    names = [ast.unparse(one) for one in classes if _is_dotted_name(one)]
    return [
        name
        for name in dict.fromkeys(names)
        if name.partition(".")[0] not in local and _CLASS_NAME.match(name.rpartition(".")[2])
    ]


def _is_dotted_name(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)
