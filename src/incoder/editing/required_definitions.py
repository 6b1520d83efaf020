"""The definitions of a Python file that a rewrite of some lines must keep.

A rewrite may change anything inside a function, but callers rely on its name, its kind and the names of its
parameters. A request in words can ask for another name or other parameters.
"""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass

from incoder.editing.python_source import Named, PythonSource, python_syntax_error
from incoder.errors import IncoderError

_SIGNATURE_WORDS = {"arg", "args", "argument", "arguments", "parameter", "parameters", "signature"}
_REMOVAL_WORDS = {"delete", "drop", "remove", "rename", "inline"}


@dataclass(frozen=True, slots=True)
class RequiredDefinition:
    """A definition that must stay: its dotted name, its kind, and the parameters that must stay."""

    name: str
    is_class: bool
    parameters: tuple[str, ...] = ()

    def problem(self, source: PythonSource) -> str | None:
        """The reason why a new text cannot be used: it lost this definition or a parameter; else None."""
        found = [named for named in source.definitions if named.name == self.name]
        alike = [named for named in found if isinstance(named.node, ast.ClassDef) is self.is_class]
        if not alike:
            instead = f" (which is now a {found[0].kind})" if found else ""
            return f"loses the {'class' if self.is_class else 'function'} {self.name}{instead}"
        lost = [name for name in self.parameters if name not in _parameters(alike[-1])]
        if lost:
            plural = "s" if len(lost) > 1 else ""
            return f"loses the parameter{plural} {', '.join(lost)} of {self.name}"
        return None


def required_definitions(
    text: str, span: tuple[int, int], *, named: str | None, request: str = "", has_parameters: bool = True
) -> tuple[RequiredDefinition, ...]:
    """The definitions that a rewrite of the range `span` of a Python text must keep.

    With `named`, only that definition is required; the name may be the end of its dotted name. Otherwise
    every definition is required that begins in the range and is used in the rest of the text, unless the
    request has a word such as "remove". A parameter may go if the request names it. All parameters may go if
    the request has a word such as "parameters", or without `has_parameters`. A text that does not parse has
    no required definitions.

    Raises:
        IncoderError: there is no definition with this name.

    >>> text = "def f(x): ...\\n\\nf(1)\\n"
    >>> [one.name for one in required_definitions(text, (0, 13), named=None)]
    ['f']
    """
    words = {word.lower() for word in re.findall(r"\w+", request)}
    words |= set() if has_parameters else _SIGNATURE_WORDS
    try:
        source = PythonSource(text)
    except IncoderError:
        return ()
    if named is not None:
        return (_required(source.find_one(named), words, request),)
    if words & _REMOVAL_WORDS:
        return ()
    outside = {*re.findall(r"\w+", text[: span[0]]), *re.findall(r"\w+", text[span[1] :])}
    begun = [one for one in source.definitions if span[0] <= source.start(one.node) < span[1]]
    return tuple(_required(one, words, request) for one in begun if one.node.name in outside)


def lost_definition(text: str, required: Iterable[RequiredDefinition]) -> str | None:
    """The reason why a text cannot be used: it lost one of the definitions, or does not parse; else None."""
    required = tuple(required)
    if not required:
        return None
    error = python_syntax_error(text)
    if error is not None:
        return f"does not parse: {error}"
    source = PythonSource(text)
    return next(filter(None, (one.problem(source) for one in required)), None)


def _required(named: Named, words: set[str], request: str) -> RequiredDefinition:
    is_class = isinstance(named.node, ast.ClassDef)
    if is_class or words & _SIGNATURE_WORDS:
        return RequiredDefinition(named.name, is_class)
    mentioned = set(re.findall(r"\w+", request))
    return RequiredDefinition(
        named.name, is_class, tuple(name for name in _parameters(named) if name not in mentioned)
    )


def _parameters(named: Named) -> list[str]:
    if isinstance(named.node, ast.ClassDef):
        return []
    arguments = named.node.args
    optional = [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
    return [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *optional)]
