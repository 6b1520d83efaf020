"""Test runs: run a user's command on a changed file, and leave the user's tree as it is.

On Linux, the command sees an overlay in place of the tree: it has all files, and changes go into a temporary
folder. If the system allows no overlay, the command runs in a copy of the tree, which is made once and
restored between runs. Python finds the tree's modules before installed ones. After the command has ended or
its time is up, all processes that it started are killed.
"""

import contextlib
import os
import re
import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePath

from incoder.editing.test_run.containment import Ending, Overlay, Request, UnavailableError, run_contained
from incoder.editing.test_run.tree import Progress, TreeCopy, links_out_of
from incoder.errors import IncoderError
from incoder.files import write_bytes

MAX_COPY_BYTES = 2_000_000_000
_MAX_READ_ONLY = 256  # links out of the tree that are made read-only
_NEVER_READ_ONLY = ("/", "/dev", "/proc", "/run", "/sys", "/var")
_NUM_NAMED = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a test run.

    `failure` says how the command failed, and is None if it passed. `output` is the end of the output.
    `status` is the exit status, None if the command was killed, for example because its time was up.
    """

    failure: str | None
    output: str
    status: int | None = None

    def lines_of(self, file: Path) -> list[int]:
        """The lines of a file that the output names, as tracebacks and pytest do; the last one first.

        >>> Outcome("failed", 'File "shapes.py", line 3, in area').lines_of(Path("shapes.py"))
        [3]
        """
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
        """Whether the shell says that the command does not exist or cannot be executed."""
        return self.status in (126, 127)


class Containment(Enum):
    """The ways to contain the command, the strictest first; the first one that the system allows is used."""

    OVERLAY = "an overlay in place of the tree, in namespaces"
    COPY = "a copy of the tree, in namespaces"
    PLAIN = "a copy of the tree"


class CommandRunner:
    """Runs a shell `command` in the folder `root`, with another text in its file `file`.

    `timeout` is in seconds. It is a context manager, which removes the folders of the runs on exit.
    """

    def __init__(
        self,
        command: str,
        root: Path,
        file: Path,
        timeout: float,
        *,
        max_copy_bytes: int = MAX_COPY_BYTES,
        containment: Containment | None = None,
    ) -> None:
        """Prepare test runs; with `containment`, no other containment is tried.

        Raises:
            IncoderError: the command is empty or has a NUL character, or the file is not in the folder.
        """
        if not command.strip() or "\0" in command:
            raise IncoderError(f"a command must not be empty or have a NUL character, got {command!r}")
        self.command, self.root, self.timeout = command, root.resolve(), timeout
        if not file.resolve().is_relative_to(self.root):
            raise IncoderError(f"{file} is not in {root}, the folder that the command tests; see --root")
        self._file = file.resolve().relative_to(self.root)
        self._max_copy_bytes = max_copy_bytes
        self._untried = list(Containment) if containment is None else [containment]
        self._copy: TreeCopy | None = None
        self._read_only, self._reachable = self._links_out()

    def __enter__(self) -> "CommandRunner":
        self._temporary = tempfile.TemporaryDirectory(prefix="incoder-test-", ignore_cleanup_errors=True)
        self._folder = Path(self._temporary.name).resolve()
        return self

    def __exit__(self, *_: object) -> None:
        self._temporary.cleanup()

    @property
    def containment(self) -> Containment:
        """The containment of the last run."""
        return self._untried[0]

    @property
    def warning(self) -> str | None:
        """A warning of files that the last run could change and processes it could leave, else None."""
        reachable = list(self._reachable)
        warnings = []
        if self.containment is Containment.PLAIN:
            reachable += map(str, self._read_only)
            reachable += [str(self.root / name) for name in (self._copy.environments if self._copy else ())]
        if reachable:
            named = ", ".join(reachable[:_NUM_NAMED])
            more = f" and {len(reachable) - _NUM_NAMED} more" if len(reachable) > _NUM_NAMED else ""
            warnings.append(f"the command can change, through links in the tree, {named}{more}")
        if self.containment is Containment.PLAIN and not Path("/proc").is_dir():
            warnings.append("processes that leave the command's process group are not ended on this system")
        return "; ".join(warnings) or None

    def run(self, text: str, *, on_copy: Progress = lambda _done, _all: None) -> Outcome:
        """Run the command with this text in the file; `on_copy` gets counts of copied files: done, all.

        Raises:
            IncoderError: the tree cannot be copied, or the command cannot be started.
        """
        content = text.encode("utf-8", "surrogateescape")
        while True:
            try:
                ending, folder = self._run(content, on_copy)
            except UnavailableError as error:
                if len(self._untried) == 1:
                    raise IncoderError(
                        f"the system does not allow {self.containment.value}: {error}"
                    ) from error
                self._untried.pop(0)
            except OSError as error:
                raise IncoderError(f"cannot copy {self.root} to run the command in: {error}") from error
            else:
                return self._outcome(ending, folder)

    def _run(self, content: bytes, on_copy: Progress) -> tuple[Ending, Path]:
        """Run the command; returns how it ended, and the folder in which it ran."""
        with tempfile.TemporaryDirectory(dir=self._folder, ignore_cleanup_errors=True) as run_folder:
            private = Path(run_folder)
            if self.containment is not Containment.PLAIN and private.is_relative_to(self.root):
                raise UnavailableError("the folder for temporary files is in the tree")
            if self.containment is Containment.OVERLAY:
                request = self._overlaid(content, private)
            else:
                request = self._copied(content, on_copy)
            paths = [request.folder, str(Path(request.folder, "src")), os.environ.get("PYTHONPATH", "")]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
            return run_contained(request, private, environment, self.timeout), Path(request.folder)

    def _overlaid(self, content: bytes, private: Path) -> Request:
        if _has_mounts(self.root):
            raise UnavailableError("an overlay hides what is mounted below the tree")
        for name in ("changes", "work"):
            (private / name).mkdir()
        os.chmod(private / "changes", self.root.stat().st_mode & 0o7777)  # noqa: PTH101 - it becomes the root's
        (private / "text").write_bytes(content)
        layers = (str(self.root), str(private / "changes"), str(private / "work"))
        overlay = Overlay(layers, str(self.root / self._file), str(private / "text"))
        return Request(self.command, str(self.root), True, [*map(str, self._read_only)], overlay)

    def _copied(self, content: bytes, on_copy: Progress) -> Request:
        if self._copy is None:
            tree = self._folder / "tree"
            self._copy = TreeCopy(self.root, tree, self._max_copy_bytes, on_copy)
        else:
            self._copy.restore()
        write_bytes(self._copy.folder / self._file, content)
        if self.containment is Containment.PLAIN:
            return Request(self.command, str(self._copy.folder))
        return Request(self.command, str(self._copy.folder), True, [*map(str, (self.root, *self._read_only))])

    def _outcome(self, ending: Ending, folder: Path) -> Outcome:
        if ending.has_timed_out:
            failure: str | None = f"the command takes longer than {self.timeout:g} s"
        elif ending.status is None:
            failure = "the command kills the process that runs it"
        else:
            failure = f"the command fails with status {ending.status}" if ending.status else None
        written = ending.output.decode("utf-8", "replace").replace(f"{folder}{os.sep}", "")
        return Outcome(failure, written, ending.status)

    def _links_out(self) -> tuple[list[Path], list[str]]:
        """Targets of links out of the tree: paths to make read-only, and paths that must stay writable."""
        temporary = Path(tempfile.gettempdir()).resolve()
        read_only, reachable = list[Path](), list[str]()
        for aim in links_out_of(self.root):
            if aim.is_file() and not os.access(aim, os.W_OK):
                continue  # such as the interpreter of an environment
            is_needed = str(aim) in _NEVER_READ_ONLY or temporary.is_relative_to(aim)
            if is_needed or len(read_only) == _MAX_READ_ONLY:
                reachable.append(str(aim))
            else:
                read_only.append(aim)
        return read_only, reachable


def _has_mounts(root: Path) -> bool:
    """Whether anything is mounted below a folder."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
        below = os.fsencode(root).replace(b" ", rb"\040").rstrip(b"/") + b"/"
        return any(line.split()[4].startswith(below) for line in lines)
    return False


def _may_name(named: str, file: Path) -> bool:
    """Whether a printed path may be that of the file: one path ends with the other."""
    shown = tuple(part for part in PurePath(named).parts if part != "..")
    if PurePath(named).is_absolute():
        given = tuple(part for part in file.parts if part != "..")
        return shown[-len(given) :] == given
    return Path(os.path.abspath(file)).parts[-len(shown) :] == shown  # noqa: PTH100 - links stay
