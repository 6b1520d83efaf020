"""The one exception that means "the user can mend this".

The command line prints its message without a traceback and exits with status 1. Everything else that
escapes is a bug of ours and keeps its traceback.
"""


class IncoderError(Exception):
    """A mistake in the input or the environment: the message names the value, the rule and the remedy."""
