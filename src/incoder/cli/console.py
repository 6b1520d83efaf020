"""What all commands share: the consoles, and how an error is shown.

Results go to stdout, so that they can be piped; progress, notes and errors go to stderr.
"""

import sys

from rich.console import Console

notes = Console(stderr=True, highlight=False, soft_wrap=True)


def print_error(message: str) -> None:
    notes.print(f"[bold red]error:[/] ", end="")
    notes.print(message, markup=False)


def write_result(text: str) -> None:
    """Write to stdout as it is, bytes that are no UTF-8 (held as surrogates) included."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()
