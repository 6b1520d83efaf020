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
