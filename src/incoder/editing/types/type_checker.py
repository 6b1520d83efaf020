"""Type errors by mypy that a change to a file's text would add.

The file itself is not touched. The project's settings and imports apply as if the text were in the file, or,
for a text without a file, none of them do: then nothing of a project is read, and no plugin of it is run.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections import Counter
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Protocol

from incoder.errors import IncoderError
from incoder.extras import missing_extra
from incoder.files import write_bytes

# Any partly annotated file has these errors, so they would reject every annotation.
_INCOMPLETE = ("no-untyped-def", "no-untyped-call", "unused-ignore")
_FLAGS = (
    "--output=json",
    "--check-untyped-defs",  # else mypy first sees a body's errors when the function gets an annotation
    "--follow-imports=silent",
    *(f"--disable-error-code={code}" for code in _INCOMPLETE),
)
_ISOLATED = ("--config-file=", "--ignore-missing-imports")


class TypeChecker(Protocol):
    """Finds the type errors that a changed text adds."""

    def new_errors(self, text: str) -> list[str]:
        """The errors of this text that the original text does not have."""


class Mypy:
    """Checks texts with mypy as if they were in the file at `path`; on exit it removes its own files.

    The settings are those that mypy finds in the folder `project`, by default the current one. Without a
    path, mypy knows only the text and the installed libraries. With one `cache` folder for several files, it
    reads its data on libraries only once.

    Raises:
        IncoderError: mypy is not installed, takes too long (`timeout`, seconds), or cannot check the file.
    """

    def __init__(
        self,
        path: Path | None,
        text: str,
        timeout: float = 120.0,
        cache: Path | None = None,
        *,
        project: Path | None = None,
    ) -> None:
        require_mypy()
        self._path = path
        self._text = text
        self._timeout = timeout
        self._cache = cache
        self._project = project
        self._folder = tempfile.TemporaryDirectory(prefix="incoder-types-")

    def __enter__(self) -> "Mypy":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def new_errors(self, text: str) -> list[str]:
        """The messages that mypy reports more often for this text than for the original."""
        return list((self._errors(text) - self._known).elements())

    @cached_property
    def _known(self) -> Counter[str]:
        return self._errors(self._text)

    def _errors(self, text: str) -> Counter[str]:
        folder = Path(self._folder.name)
        shadow = folder / "shadow.py"
        write_bytes(shadow, text.encode("utf-8", "surrogateescape"))
        cache = self._cache or folder / "cache"
        # Without -P, Python would run modules of the current folder, such as its json.py.
        command = [sys.executable, "-P", "-m", "mypy", *_FLAGS, f"--cache-dir={cache}"]
        if self._path is None:
            command += [*_ISOLATED, str(shadow)]
        else:
            command += ["--shadow-file", str(self._path), str(shadow), str(self._path)]
        where = folder if self._path is None else self._project
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=self._timeout, check=False, cwd=where
            )
        except subprocess.TimeoutExpired as error:
            raise IncoderError(
                f"mypy did not finish within {self._timeout:g} s; allow more with --check-timeout"
            ) from error
        lines = done.stdout.splitlines()
        reports = [json.loads(line) for line in lines if line.startswith("{")]
        if done.returncode not in (0, 1) and not reports:
            printed = (done.stderr or done.stdout).strip().splitlines()
            raise IncoderError(
                f"mypy cannot check {self._path or 'this text'}: {printed[-1] if printed else 'it failed'}"
            )
        return Counter(report["message"] for report in reports if report["severity"] == "error")


def require_mypy() -> None:
    """Raise if mypy is not installed.

    Raises:
        IncoderError: mypy is not installed.
    """
    if importlib.util.find_spec("mypy") is None:
        raise missing_extra("checking types needs mypy", "editing")
