"""Licences as SPDX expressions: in SPDX's own spelling, and whether a list of licences suffices for one."""

import difflib
from collections.abc import Collection
from functools import cache
from typing import Any

from incoder.extras import missing_extra

BSD = "LicenseRef-BSD"  # a BSD licence whose metadata does not say how many clauses it has
# Licences that ask for no more than a notice. The paper took MIT, Apache-2.0, BSD-2-Clause and BSD-3-Clause
# (section 3.1); the rest are as free, and what Python packages and the parts that they bundle are under.
PERMISSIVE = (
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    BSD,
    "0BSD",
    "BSL-1.0",
    "CC0-1.0",
    "HPND",
    "ISC",
    "NCSA",
    "PSF-2.0",
    "Python-2.0",
    "Unlicense",
    "Zlib",
)

_OWN = "LicenseRef-"  # how SPDX writes a licence that is not in its list


@cache
def normalised(expression: str) -> str | None:
    """The expression in SPDX's spelling, or None for any other text; names after `LicenseRef-` are free.

    >>> normalised("mit or (apache-2.0)")
    'MIT OR Apache-2.0'
    >>> normalised("ask me") is None
    True
    """
    parsed = _parsed(expression)
    return None if parsed is None else str(parsed.render())


def licence_id(name: str) -> str:
    """One licence of a list, in SPDX's spelling.

    Raises:
        ValueError: it is not the SPDX name of one licence.
    """
    found = normalised(name)
    if found is not None and " " not in found:
        return found
    near = difflib.get_close_matches(name.lower(), _names(), n=1)
    hint = f"; did you mean {_names()[near[0]]}?" if near else ""
    raise ValueError(
        f"must be the SPDX name of a licence, such as MIT, or {_OWN}… for one that SPDX does not list{hint}"
    )


def allows(expression: str, licences: Collection[str]) -> bool:
    """Whether the listed licences suffice for an SPDX expression: AND needs both sides, OR needs one.

    Text that is no expression is not allowed. `X WITH Y` is allowed if X is: exceptions only add rights.

    >>> allows("MIT OR GPL-3.0-only", ["MIT"]), allows("MIT AND GPL-3.0-only", ["MIT"])
    (True, False)
    """
    return _allows(expression, frozenset(licence.lower() for licence in licences))


@cache
def _allows(expression: str, accepted: frozenset[str]) -> bool:
    parsed = _parsed(expression)
    return parsed is not None and _holds(parsed, accepted)


def _holds(parsed: Any, accepted: frozenset[str]) -> bool:
    licensing = _licensing()
    if isinstance(parsed, licensing.AND):
        return all(_holds(side, accepted) for side in parsed.args)
    if isinstance(parsed, licensing.OR):
        return any(_holds(side, accepted) for side in parsed.args)
    licence = getattr(parsed, "license_symbol", parsed)  # without its exception
    return str(licence.key).lower() in accepted


def _parsed(expression: str) -> Any:
    from license_expression import ExpressionError, ExpressionParseError

    licensing = _licensing()
    try:
        parsed = licensing.parse(expression)
        unknown = [] if parsed is None else licensing.unknown_license_keys(parsed)
    except (ExpressionError, ExpressionParseError, RecursionError):
        return None
    return None if any(not key.startswith(_OWN) for key in unknown) else parsed


@cache
def _names() -> dict[str, str]:
    return {name.lower(): name for name in _licensing().known_symbols}


@cache
def _licensing() -> Any:
    try:
        from license_expression import get_spdx_licensing
    except ImportError as error:
        raise missing_extra("licences need license-expression", "corpus") from error
    return get_spdx_licensing()
