"""The one exception for mistakes that the user can correct.

The command line prints its message without a traceback and exits with status 1. Any other exception is a bug
in InCoder and keeps its traceback.
"""

import reprlib

_MAX_SHOWN = 80  # characters of a value in a message
_shortened = reprlib.Repr()
_shortened.maxstring = _shortened.maxother = _shortened.maxlong = _MAX_SHOWN
_shortened.maxlevel = 2


class IncoderError(Exception):
    """A mistake in the input or the environment: the message names the value, the rule and the remedy."""


def shown(value: object) -> str:
    """Return the repr of a value from a file, shortened in the middle: it may have any length.

    >>> shown("llama"), len(shown("x" * 1_000_000))
    ("'llama'", 80)
    """
    return _shortened.repr(value)


def shown_name(name: str) -> str:
    """Return a name from a file as it is, or its shortened repr if it is long or not printable.

    Names may contain anything, control sequences of a terminal included.

    >>> shown_name("token_embd.weight"), shown_name("a\\x1b[2J")
    ('token_embd.weight', "'a\\\\x1b[2J'")
    """
    return name if name.isprintable() and len(name) <= _MAX_SHOWN else shown(name)
