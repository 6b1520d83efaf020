"""How a file writes its docstrings, and what one of that style says of a function.

A docstring is made of what is certain (sections, names of parameters) with holes for what is not, so that the
style does not depend on the model. Four styles: plain, Google's, NumPy's, and Sphinx's fields.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from incoder.tasks.python_source import Definition, Function, PythonSource, own_nodes, parameters
from incoder.tasks.string_literals import opening

StyleName = Literal["plain", "google", "numpy", "sphinx"]
STYLE_NAMES: tuple[StyleName, ...] = get_args(StyleName)

_SECTIONS: dict[StyleName, re.Pattern[str]] = {
    "google": re.compile(r"^[ \t]*(Args|Arguments|Returns|Yields|Raises):[ \t]*$", re.MULTILINE),
    "numpy": re.compile(r"^[ \t]*(Parameters|Returns|Yields|Raises)[ \t]*\r?\n[ \t]*-{3,}", re.MULTILINE),
    "sphinx": re.compile(r"^[ \t]*:(param|returns?|raises?|rtype)\b", re.MULTILINE),
}
HOLE = None
Pieces = list[str | None]  # text, and HOLE where the model is to write


@dataclass(frozen=True, slots=True)
class Style:
    """`starts_below`: whether the summary stands on the line below the opening quotes."""

    name: StyleName = "plain"
    quote: str = '"""'
    starts_below: bool = False


def style_of(source: PythonSource) -> Style:
    """The style of most docstrings of a file; sections are looked for where there are parameters."""
    names: Counter[StyleName] = Counter()
    quotes: Counter[str] = Counter()
    num_below = num_multiline = 0
    for node in _documented(source):
        literal = source.text[source.start(node.body[0]) : source.end(node.body[0])]
        start = opening(literal)
        if start is None:
            continue
        quotes[start[1]] += 1
        if "\n" in literal:
            num_multiline += 1
            num_below += bool(re.match(rf"\w?{start[1]}[ \t]*\r?\n", literal))
        if isinstance(node, Function) and parameters(node):
            names[_style_name(literal)] += 1
    sectioned = [name for name in names if name != "plain"]
    name: StyleName = max(sectioned, key=names.__getitem__, default="plain")
    if names["plain"] > names[name]:
        name = "plain"
    quote = "'''" if quotes["'''"] > quotes['"""'] else '"""'
    return Style(name, quote, 2 * num_below > num_multiline)


def sections(function: Function, style: StyleName, written: str = "") -> Pieces:
    """The sections that a function's docstring has in this style, but for those that are `written` already.

    Every section begins with a line end; lines are not indented.
    """
    makers = {"google": _google, "numpy": _numpy, "sphinx": _sphinx}
    return makers[style](function, written) if style in makers else []


def _google(function: Function, written: str) -> Pieces:
    pieces: Pieces = []
    names = [_shown(function, argument) for argument in parameters(function)]
    outcome, raised = _outcome(function), _raised(function)
    if names and not re.search(r"^\s*Arg(ument)?s:", written, re.MULTILINE):
        pieces += ["\n\nArgs:", *_each([f"\n    {name}: " for name in names])]
    if outcome and f"{outcome}:" not in written:
        pieces += [f"\n\n{outcome}:\n    ", HOLE]
    if raised and "Raises:" not in written:
        pieces += ["\n\nRaises:", *_each([f"\n    {name}: " for name in raised])]
    return pieces


def _numpy(function: Function, written: str) -> Pieces:
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
        pieces += [begin("Parameters"), *_each([f"\n{head}\n    " for head in heads])]
    if outcome and lacks(outcome):
        kind = ast.unparse(function.returns) if function.returns else HOLE
        pieces += [begin(outcome), "\n", kind, "\n    ", HOLE]
    if raised and lacks("Raises"):
        pieces += [begin("Raises"), *_each([f"\n{name}\n    " for name in raised])]
    return pieces


def _sphinx(function: Function, written: str) -> Pieces:
    fields = [f":param {argument.arg}:" for argument in parameters(function)]
    fields += [":returns:"] if _outcome(function) and ":return:" not in written else []
    fields += [f":raises {name}:" for name in _raised(function)]
    lacking = _each([f"\n{field} " for field in fields if field not in written])
    return ["\n", *lacking] if lacking and not _SECTIONS["sphinx"].search(written) else lacking


def _documented(source: PythonSource) -> Iterator[ast.Module | Definition]:
    for node in (source.tree, *(named.node for named in source.definitions)):
        if ast.get_docstring(node, clean=False) is not None:
            yield node


def _style_name(docstring: str) -> StyleName:
    return next((name for name, pattern in _SECTIONS.items() if pattern.search(docstring)), "plain")


def _each(heads: list[str]) -> Pieces:
    return [piece for head in heads for piece in (head, HOLE)]


def _shown(function: Function, argument: ast.arg) -> str:
    """`*args` and `**kwargs` with their stars."""
    if argument is function.args.vararg:
        return f"*{argument.arg}"
    return f"**{argument.arg}" if argument is function.args.kwarg else argument.arg


def _outcome(function: Function) -> str | None:
    """The section for what comes out: Yields, Returns or none."""
    own = list(own_nodes(function))
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own):
        return "Yields"
    values = [node.value for node in own if isinstance(node, ast.Return)]
    is_none = [value is None or (isinstance(value, ast.Constant) and value.value is None) for value in values]
    return None if all(is_none) else "Returns"


def _raised(function: Function) -> list[str]:
    """The exceptions that are raised here by name, in the order of the text."""
    raised = [
        node.exc for node in own_nodes(function) if isinstance(node, ast.Raise) and node.exc is not None
    ]
    names = [ast.unparse(one.func if isinstance(one, ast.Call) else one) for one in raised]
    return [name for name in dict.fromkeys(names) if name.rpartition(".")[2][:1].isupper()]
