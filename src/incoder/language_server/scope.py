"""Whether a place in a text is in code, in a comment or in a string."""

from pathlib import PurePath
from typing import Literal

from incoder.inference.decoding.stopping_rules.hole import Hole
from incoder.inference.syntax.languages import syntax_of

Scope = Literal["code", "comment", "string"]

_LOOKED_AT = 1 << 16  # characters on each side: more than the scanner looks at
_START = 200  # characters that may name the language, such as `#!/bin/sh`


def scope_at(prefix: str, suffix: str, path: PurePath | None) -> Scope:
    """Return the scope of the place between two texts of a file with this name.

    >>> scope_at("x = 1  # one ", "\\n", PurePath("a.py")), scope_at("x = '", "'\\n", PurePath("a.py"))
    ('comment', 'string')
    >>> scope_at("x = f'{", "}'\\n", PurePath("a.py"))
    'code'
    """
    before = prefix[-_LOOKED_AT:].encode("utf-8", "surrogatepass")
    after = suffix[:_LOOKED_AT].encode("utf-8", "surrogatepass")
    stack = Hole(before, after, syntax_of(path, prefix[:_START])).stack
    literal = stack[-1].literal if stack else None
    if literal is None:
        return "code"
    return "comment" if literal.is_comment else "string"
