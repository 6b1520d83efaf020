"""The error of a process of a run, left in a file for the launcher that started it. Imports no torch."""

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from incoder.errors import IncoderError

VARIABLE = "INCODER_ERROR_FILE"  # in the environment of a process that a launcher started: the file's path
INTERRUPTED = 130  # the status of a process that was stopped and has saved its state


@dataclass(frozen=True, slots=True)
class ProcessError:
    """An error that ended a process.

    `is_refusal` if its message is written for users; `is_lost` if another process caused it.
    """

    message: str
    kind: str
    is_refusal: bool
    is_lost: bool
    time: float


def leave_error(path: Path, error: BaseException, *, is_lost: bool = False) -> None:
    """Write down an error, unless the file cannot be written.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "error.json")
    >>> leave_error(path, IncoderError("the disk is full"))
    >>> read_error(path).message
    'the disk is full'
    """
    left = ProcessError(
        str(error), type(error).__name__, isinstance(error, IncoderError), is_lost, time.time()
    )
    with suppress(OSError):
        path.write_text(json.dumps(asdict(left)), encoding="utf-8")


def read_error(path: Path) -> ProcessError | None:
    """Return the error in a file; None if there is none, or it was not written to its end."""
    try:
        return ProcessError(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
