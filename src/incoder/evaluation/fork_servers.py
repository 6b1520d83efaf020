"""Fork servers: start them, send them requests, and remove them with all files that their programs left."""

import contextlib
import functools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from incoder.evaluation import sandbox

_FORK_SERVER = Path(sandbox.__file__).with_name("fork_server.py")
_PACKAGE = Path(sandbox.__file__).parents[2]


class ServerLostError(Exception):
    """A fork server has ended or does not answer."""


class Server:
    """A running fork server, and the only folder to which its programs can write."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="incoder-programs-", ignore_cleanup_errors=True)
        # The same as -I, except that PYTHONHASHSEED is read, so that sets have the same order in every run.
        command = [sys.executable, "-s", "-S", "-P", "-B", str(_FORK_SERVER)]
        environment = {"HOME": self._folder.name, "TMPDIR": self._folder.name}
        self._process = subprocess.Popen(
            [*_wrapped(self._folder.name), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,
            env={**environment, "PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            ServerLostError: the server has ended, or does not answer within `seconds`.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ServerLostError from error
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            raise ServerLostError
        try:
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        except ValueError as error:
            raise ServerLostError from error
        return answer

    def close(self) -> None:
        """Kill the server and its programs, and remove their folder."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        with contextlib.suppress(OSError, RecursionError):
            self._folder.cleanup()
        subprocess.run(["rm", "-rf", "--", self._folder.name], capture_output=True, check=False)


@contextmanager
def one_server() -> Iterator[Server]:
    """A fork server that is closed at the end of the block."""
    server = Server()
    try:
        yield server
    finally:
        server.close()


@contextmanager
def several_servers(number: int) -> Iterator["SimpleQueue[Server]"]:
    """A queue of fork servers: take one, and put it back, or put a new one in place of a lost one."""
    queue: SimpleQueue[Server] = SimpleQueue()
    for _ in range(number):
        queue.put(Server())
    try:
        yield queue
    finally:
        for _ in range(number):
            queue.get().close()


@functools.cache
def bubblewrap() -> str | None:
    """The path of bubblewrap; None if it is missing or the system forbids it."""
    found = shutil.which("bwrap")
    if found is None:
        return None
    tried = subprocess.run([found, *_WRAPPING, "true"], capture_output=True, check=False)
    return found if tried.returncode == 0 else None


# Everything is read-only, in namespaces of its own (so without a network), and ends with our process.
_WRAPPING = ("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-all", "--die-with-parent")


def _wrapped(folder: str) -> list[str]:
    """The start of a command that runs inside bubblewrap if there is one: only the folder is writable."""
    found = bubblewrap()
    if found is None:
        return []
    hidden = [flag for place in ("/tmp", str(Path.home())) for flag in ("--tmpfs", place)]
    shown = [
        flag for place in (sys.prefix, sys.base_prefix, str(_PACKAGE)) for flag in ("--ro-bind", place, place)
    ]
    return [found, *_WRAPPING, *hidden, *shown, "--bind", folder, folder, "--chdir", folder]
