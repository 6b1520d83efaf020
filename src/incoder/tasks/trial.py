"""A user's own command as the judge of a change: run in a copy of the tree, never in the tree itself.

The copy has what git would keep, or all but caches where there is no git, and links to environments such as
`.venv`. Python finds the copy's modules before installed ones. When the command ends or its time is up, so
does all that it started; on Linux even what has left its session.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO

from incoder.errors import IncoderError
from incoder.files import write_bytes

_ENVIRONMENTS = (".venv", "venv", "node_modules")
_CACHES = {".git", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", *_ENVIRONMENTS}
_MAX_OUTPUT = 1_000_000  # bytes, from the end
_SECONDS_TO_END = 10.0
# Runs the command in a process of its own, which becomes the parent of all that loses its own, so that it
# can end them; it does so as well when its standard input is closed, be it because we were killed.
_SUPERVISOR = """
import contextlib, ctypes, os, signal, subprocess, sys, threading

def end_group():
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)

def end_group_on_request():
    os.read(0, 1)
    end_group()

if sys.platform == "linux":
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
process = subprocess.Popen(sys.argv[1], shell=True, stdin=subprocess.DEVNULL, start_new_session=True)
threading.Thread(target=end_group_on_request, daemon=True).start()
status = process.wait()
end_group()
listed = f"/proc/self/task/{os.getpid()}/children"
while os.path.exists(listed):
    with open(listed) as file:
        orphans = [int(number) for number in file.read().split()]
    if not orphans:
        break
    for orphan in orphans:
        os.kill(orphan, signal.SIGKILL)
        os.waitpid(orphan, 0)
os._exit(status if status >= 0 else 128 - status)
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`failure` says how the command failed, None where it passed; `output` is what it printed last.

    `status` is the command's, None where its time was up.
    """

    failure: str | None
    output: str
    status: int | None = None

    def lines_of(self, file: Path) -> list[int]:
        """The lines of a file that the output names, as tracebacks and pytest do; the last named first."""
        name = re.escape(file.name)
        pattern = rf"""([^"\n]*{name})", line (\d+)|([^\s"'():]*{name}):(\d+)(?::|$| )"""
        numbers = [
            int(match[2] or match[4])
            for match in re.finditer(pattern, self.output, re.MULTILINE)
            if _may_name(match[1] or match[3], file)
        ]
        return list(dict.fromkeys(reversed(numbers)))

    @property
    def is_not_found(self) -> bool:
        """Whether the shell says that there is no such command, or that it cannot be executed."""
        return self.status in (126, 127)


@dataclass(frozen=True, slots=True)
class Trial:
    """Runs a shell `command` in a copy of the folder `root`, with another text as its file `file`.

    `timeout` is in seconds.
    """

    command: str
    root: Path
    file: Path
    timeout: float

    def __post_init__(self) -> None:
        if not self.file.resolve().is_relative_to(self.root.resolve()):
            raise IncoderError(f"{self.file} is not in {self.root}, a copy of which is tested; see --root")

    def run(self, text: str) -> Outcome:
        """Try this text.

        Raises:
            IncoderError: the tree cannot be copied.
        """
        with tempfile.TemporaryDirectory(prefix="incoder-trial-", ignore_cleanup_errors=True) as folder:
            copy = Path(folder).resolve() / "tree"
            try:
                _copy_tree(self.root.resolve(), copy)
                place = copy / self.file.resolve().relative_to(self.root.resolve())
                write_bytes(place, text.encode("utf-8", "surrogateescape"))
            except OSError as error:
                raise IncoderError(f"cannot copy {self.root} to try the command in: {error}") from error
            return self._run_in(copy)

    def _run_in(self, copy: Path) -> Outcome:
        paths = [str(copy), str(copy / "src"), os.environ.get("PYTHONPATH", "")]
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _SUPERVISOR, self.command],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        output = _Tail(process.stdout)
        status = None
        try:
            status = process.wait(self.timeout)
            failure = f"the command fails with status {status}" if status else None
        except subprocess.TimeoutExpired:
            failure = f"the command takes longer than {self.timeout:g} s"
        finally:
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS_TO_END)
            process.kill()
            process.wait()
        written = output.read().decode("utf-8", "replace")
        return Outcome(failure, written.replace(f"{copy}{os.sep}", ""), status)


class _Tail:
    """Reads a stream to its end in a thread, so that its writer never waits, and keeps the last of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept = bytearray()
        self._thread = threading.Thread(target=self._read_all, daemon=True)
        self._thread.start()

    def read(self) -> bytes:
        """The last bytes, once nobody has the stream open for writing, or after some seconds."""
        self._thread.join(_SECONDS_TO_END)
        return bytes(self._kept[-_MAX_OUTPUT:])

    def _read_all(self) -> None:
        with self._stream:
            while read := os.read(self._stream.fileno(), 1 << 16):
                self._kept += read
                if len(self._kept) > 2 * _MAX_OUTPUT:
                    del self._kept[:-_MAX_OUTPUT]


def _may_name(named: str, file: Path) -> bool:
    """Whether a path that a command printed may be that of the file: one ends as the other does."""
    shown = tuple(part for part in PurePath(named).parts if part != "..")
    if PurePath(named).is_absolute():
        given = tuple(part for part in file.parts if part != "..")
        return shown[-len(given) :] == given
    return Path(os.path.abspath(file)).parts[-len(shown) :] == shown  # noqa: PTH100 - links stay


def _copy_tree(root: Path, copy: Path) -> None:
    copy.mkdir()
    for path in _files(root):
        target = copy / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if (root / path).is_symlink():
            target.symlink_to(_aim(root / path, root, copy))
        else:
            shutil.copy2(root / path, target)
    for name in _ENVIRONMENTS:
        if (root / name).is_dir() and not (copy / name).exists():
            (copy / name).symlink_to(root / name)


def _aim(link: Path, root: Path, copy: Path) -> Path:
    """Where a link must lead in the copy: into the copy if it leads into the tree, else where it does."""
    aim = Path(os.path.normpath(link.parent / link.readlink()))
    return copy / aim.relative_to(root) if aim.is_relative_to(root) else aim


def _files(root: Path) -> Iterator[Path]:
    """The files and links of a tree, but nothing that cannot be copied, such as pipes."""
    for path in _listed(root):
        if (root / path).is_symlink() or (root / path).is_file():
            yield path


def _listed(root: Path) -> Iterator[Path]:
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        for folder, names, files in os.walk(root):
            names[:] = [name for name in names if name not in _CACHES]
            links = [name for name in names if (Path(folder) / name).is_symlink()]
            yield from ((Path(folder) / name).relative_to(root) for name in (*files, *links))
        return
    yield from (Path(os.fsdecode(name)) for name in listed.split(b"\0") if name)
