"""The log of the language server: lines in the editor's log and in a file, none of which holds code."""

import logging
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lsprotocol import types

from incoder.errors import IncoderError

if TYPE_CHECKING:
    from pygls.lsp.server import LanguageServer

Level = Literal["error", "warning", "info", "debug"]

_LEVELS: tuple[Level, ...] = ("error", "warning", "info", "debug")
_MESSAGE_TYPES = {
    "error": types.MessageType.Error,
    "warning": types.MessageType.Warning,
    "info": types.MessageType.Info,
    "debug": types.MessageType.Debug,
}


class Log:
    """Writes lines up to a level to the editor (window/logMessage), and to `file` if there is one.

    Lines are written by us, and name files, times and counts. Exceptions of others, whose messages may quote
    code, are logged by their type and place.

    Raises:
        IncoderError: the file cannot be written.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.level: Level = "info"
        self._server: LanguageServer | None = None
        self._lock = threading.Lock()
        self._file = None
        if file is not None:
            try:
                self._file = file.open("a", encoding="utf-8", errors="replace")
            except OSError as error:
                raise IncoderError(f"cannot write the log {file}: {error.strerror}") from error

    def attach(self, server: "LanguageServer") -> None:
        """Write to this server's editor as well, from now on."""
        self._server = server

    def error(self, text: str) -> None:
        self._write("error", text)

    def warning(self, text: str) -> None:
        self._write("warning", text)

    def info(self, text: str) -> None:
        self._write("info", text)

    def debug(self, text: str) -> None:
        self._write("debug", text)

    def failure(self, what: str, error: BaseException) -> None:
        """Log an unexpected exception: its type and where it was raised, without its message."""
        frames = "".join(
            f"\n  {frame.filename}:{frame.lineno} in {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)
        )
        self._write("error", f"{what} failed with {type(error).__name__}{frames}")

    def _write(self, level: Level, text: str) -> None:
        if _LEVELS.index(level) > _LEVELS.index(self.level):
            return
        if self._file is not None:
            with self._lock:
                now = time.strftime("%Y-%m-%d %H:%M:%S")
                self._file.write(f"{now} {level}: {text}\n")
                self._file.flush()
        if self._server is not None:
            params = types.LogMessageParams(_MESSAGE_TYPES[level], f"incoder: {text}")
            self._server.window_log_message(params)


class LibraryHandler(logging.Handler):
    """Passes what libraries log on to a `Log` by its type and place, since their messages may quote code."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        what = f"{record.name} ({record.module}:{record.lineno})"
        if error is not None:
            self._log.failure(what, error)
        else:
            self._log.debug(f"{what} logged a {record.levelname.lower()}")
