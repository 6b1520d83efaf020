"""The type of a parameter, of a result, or of an assigned variable."""

import re

import numpy as np

from incoder.objective.span_kinds.block_text import BlockText, Range, one_of

_RESULT = re.compile(rb"->[ \t]*([^\r\n:]+?)[ \t]*:")
_VARIABLE = re.compile(rb":[ \t]+([A-Za-z_][^\r\n=:]*?)[ \t]*(?:=[^=\r\n][^\r\n]*)?(?=\r?\n)")
_TARGET = re.compile(rb"[ \t]*[\w.]+")
_PARAMETER = re.compile(rb"\*{0,2}\w+\s*:\s*([^=]+?)\s*(?:=.*)?", re.DOTALL)
_MAX_BYTES = 200
_DEFINITION = re.compile(rb"def[ \t]+\w+[ \t]*\(")


def draw(text: BlockText, rng: np.random.Generator) -> Range | None:
    """Draw one annotation of Python."""
    found = [match.span(1) for match in _RESULT.finditer(text.data)]
    found += [
        match.span(1)
        for match in _VARIABLE.finditer(text.data)
        if _TARGET.fullmatch(text.data, text.starts[text.line_of(match.start())], match.start())
    ]
    definitions = {match.end() - 1 for match in _DEFINITION.finditer(text.data)}
    for start, items in text.brackets if definitions else ():
        if start in definitions:
            matches = (_PARAMETER.fullmatch(text.data, *item) for item in items)
            found += [match.span(1) for match in matches if match]
    found = [
        (start, end)
        for start, end in found
        if end - start <= _MAX_BYTES and text.data[end - 1] not in b"[({," and not text.is_in_literal(start)
    ]
    return one_of(found, rng) if found else None
