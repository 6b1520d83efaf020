"""A cgroup (v2) for a test run: its processes cannot leave it, and the kernel kills them all at once."""

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SECONDS_TO_END = 5.0


@contextmanager
def control_group(name: str) -> Iterator[Path | None]:
    """Make a cgroup below ours, and kill its processes at the end; None if that is not allowed."""
    folder = _made(name)
    try:
        yield folder
    finally:
        if folder is not None:
            _end(folder)


def _made(name: str) -> Path | None:
    try:
        own = _own()
        if own is None:
            return None
        folder = own / name
        folder.mkdir()
    except OSError:
        return None
    if (folder / "cgroup.kill").exists() and os.access(folder / "cgroup.procs", os.W_OK):
        return folder
    folder.rmdir()  # before Linux 5.14
    return None


def _own() -> Path | None:
    """The folder of the cgroup that this process is in."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    points = [fields[4] for fields in mounts if fields[fields.index("-") + 1] == "cgroup2"]
    paths = [
        line.removeprefix("0::")
        for line in Path("/proc/self/cgroup").read_text().splitlines()
        if line.startswith("0::")
    ]
    return Path(points[0] + paths[0]) if points and paths else None


def _end(folder: Path) -> None:
    deadline = time.monotonic() + _SECONDS_TO_END
    with contextlib.suppress(OSError):
        (folder / "cgroup.kill").write_text("1")
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # a killed process takes a moment to end
            if time.monotonic() > deadline:
                return
            time.sleep(0.005)
        else:
            return
