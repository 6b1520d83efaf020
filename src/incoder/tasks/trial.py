"""A user's own command as the judge of a change: run in a copy of the tree, never in the tree itself.

The copy has what git would keep, or all but caches where there is no git, and links to environments such as
`.venv`. Python finds the copy's modules before installed ones.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from incoder.errors import IncoderError
from incoder.files import write_bytes

_ENVIRONMENTS = (".venv", "venv", "node_modules")
_CACHES = {".git", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", *_ENVIRONMENTS}
_MAX_OUTPUT = 1_000_000  # bytes, from the end


@dataclass(frozen=True, slots=True)
class Outcome:
    """`failure` says how the command failed, None where it passed; `output` is what it printed last."""

    failure: str | None
    output: str

    def lines_of(self, file: Path) -> list[int]:
        """The lines of a file that the output names, as tracebacks and pytest do; the last named first."""
        name = re.escape(file.name)
        found = re.findall(rf'{name}", line (\d+)|{name}:(\d+)(?::|$| )', self.output, re.MULTILINE)
        numbers = [int(quoted or plain) for quoted, plain in found]
        return list(dict.fromkeys(reversed(numbers)))


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
        with tempfile.TemporaryDirectory(prefix="incoder-trial-") as folder:
            copy = Path(folder) / "tree"
            try:
                _copy_tree(self.root.resolve(), copy)
                place = copy / self.file.resolve().relative_to(self.root.resolve())
                write_bytes(place, text.encode("utf-8", "surrogateescape"))
            except OSError as error:
                raise IncoderError(f"cannot copy {self.root} to try the command in: {error}") from error
            return self._run_in(copy, Path(folder) / "output")

    def _run_in(self, copy: Path, output: Path) -> Outcome:
        paths = [str(copy), str(copy / "src"), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        with output.open("wb") as file:
            process = subprocess.Popen(
                self.command,
                shell=True,
                cwd=copy,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait(self.timeout)
                failure = f"the command fails with status {status}" if status else None
            except subprocess.TimeoutExpired:
                failure = f"the command takes longer than {self.timeout:g} s"
            finally:
                _kill_group(process)
        return Outcome(failure, output.read_bytes()[-_MAX_OUTPUT:].decode("utf-8", "replace"))


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """End the command and whatever it left running."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _copy_tree(root: Path, copy: Path) -> None:
    copy.mkdir()
    for path in _files(root):
        target = copy / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, target, follow_symlinks=False)
    for name in _ENVIRONMENTS:
        if (root / name).is_dir() and not (copy / name).exists():
            (copy / name).symlink_to(root / name)


def _files(root: Path) -> Iterator[Path]:
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        for folder, names, files in os.walk(root):
            names[:] = [name for name in names if name not in _CACHES]
            yield from ((Path(folder) / file).relative_to(root) for file in files)
        return
    for name in listed.split(b"\0"):
        path = Path(os.fsdecode(name))
        if name and ((root / path).is_file() or (root / path).is_symlink()):
            yield path
