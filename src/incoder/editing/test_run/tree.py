"""The folder tree of a test run: its files, the links that lead out of it, and a copy.

The copy is made once, and `TreeCopy.restore` undoes changes in it. It has no hard links, because a command
that writes to one would change the original.
"""

import contextlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from incoder.errors import IncoderError

ENVIRONMENTS = (".venv", "venv", "node_modules")
_CACHES = {".git", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", *ENVIRONMENTS}
_FICLONE = 0x40049409
_Signature = tuple[int, ...]
Progress = Callable[[int, int], None]


class TreeCopy:
    """A copy of the files in `root` that git does not ignore, or of all files but caches without git.

    Environments such as `.venv` are links to the originals.
    """

    def __init__(self, root: Path, folder: Path, max_bytes: int, on_progress: Progress) -> None:
        """Make the copy as `folder`, which does not exist yet; `on_progress` gets counts of files: done, all.

        The folder around it is private: where it lies within the tree, nothing in it is copied.

        Raises:
            IncoderError: the tree is larger than `max_bytes`.
            OSError: a file cannot be copied.
        """
        self.root, self.folder = root, folder
        paths = [path for path in _files(root) if not (root / path).is_relative_to(folder.parent)]
        _check_size(root, paths, max_bytes)
        self.folder.mkdir()
        for number, path in enumerate(paths, start=1):
            self._copy(path)
            on_progress(number, len(paths))
        self.environments = [
            name for name in ENVIRONMENTS if (root / name).is_dir() and not (folder / name).exists()
        ]
        for name in self.environments:
            (folder / name).symlink_to(root / name)
        self._kept = dict(_signatures(folder))

    def restore(self) -> None:
        """Bring the copy back to its first state; only changed files are copied again.

        Raises:
            OSError: a file cannot be copied.
        """
        found = dict(_signatures(self.folder))
        changed = {path for path, signature in self._kept.items() if found.get(path) != signature}
        surplus = found.keys() - self._kept.keys()
        for path in sorted(changed | surplus, reverse=True):  # the content of a folder before the folder
            _remove(self.folder / path, keep_folder=_is_folder(self._kept.get(path)))
        for path in sorted(changed):
            if _is_folder(self._kept[path]):
                (self.folder / path).mkdir(exist_ok=True)
                (self.folder / path).chmod(stat.S_IMODE(self._kept[path][0]))
            elif str(path) in self.environments:
                (self.folder / path).symlink_to(self.root / path)
            else:
                self._copy(path)
            self._kept[path] = _signature((self.folder / path).lstat())

    def _copy(self, path: Path) -> None:
        source, target = self.root / path, self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(self._aim(source))
        else:
            copy_file(source, target)

    def _aim(self, link: Path) -> Path:
        """The target of a link in the copy: in the copy if the link leads into the tree, else unchanged."""
        aim = Path(os.path.normpath(link.parent / link.readlink()))
        return self.folder / aim.relative_to(self.root) if aim.is_relative_to(self.root) else aim


def copy_file(source: Path, target: Path) -> None:
    """Copy a file with its times and mode; where the file system can, both share their blocks (a reflink)."""
    if not _reflinked(source, target):
        shutil.copyfile(source, target)
    shutil.copystat(source, target)


def links_out_of(root: Path) -> list[Path]:
    """The files and folders outside a tree to which its links lead, each once, and none within another."""
    aims = set[Path]()
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            path = os.path.join(folder, name)  # noqa: PTH118 - of many files
            if os.path.islink(path):  # noqa: PTH114
                with contextlib.suppress(OSError, RuntimeError):  # a link that leads nowhere, or in a circle
                    aims.add(Path(path).resolve(strict=True))
    outside = [aim for aim in aims if not aim.is_relative_to(root) and (aim.is_file() or aim.is_dir())]
    return sorted(aim for aim in outside if not any(parent in aims for parent in aim.parents))


def _reflinked(source: Path, target: Path) -> bool:
    if sys.platform != "linux":
        return False
    import fcntl

    with source.open("rb") as read, target.open("wb") as written:
        try:
            fcntl.ioctl(written.fileno(), _FICLONE, read.fileno())
        except OSError:  # another file system, or one that cannot
            return False
    return True


def _check_size(root: Path, paths: list[Path], max_bytes: int) -> None:
    total = sum((root / path).lstat().st_size for path in paths)
    if total > max_bytes:
        raise IncoderError(
            f"{root} has {len(paths)} files of {total / 1e6:.0f} MB to copy, more than "
            f"{max_bytes / 1e6:.0f} MB; choose a smaller --root, or raise --max-copy"
        )


def _signatures(folder: Path) -> Iterator[tuple[Path, _Signature]]:
    """A signature of each file, link and folder below this one, which changes if it is changed."""
    waiting = [folder]
    while waiting:
        for entry in list(os.scandir(waiting.pop())):
            path, status = Path(entry.path), entry.stat(follow_symlinks=False)
            yield path.relative_to(folder), _signature(status)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
                if status.st_mode & stat.S_IRWXU != stat.S_IRWXU:  # the command has changed it
                    path.chmod(stat.S_IRWXU)


def _signature(status: os.stat_result) -> _Signature:
    if stat.S_ISDIR(status.st_mode):
        return (status.st_mode,)  # its times change with what is in it
    return (status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _is_folder(signature: _Signature | None) -> bool:
    return signature is not None and stat.S_ISDIR(signature[0])


def _remove(path: Path, *, keep_folder: bool) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
        elif not keep_folder:
            path.rmdir()


def _files(root: Path) -> Iterator[Path]:
    """The files and links of a tree, without entries that cannot be copied, such as pipes."""
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
    yield from dict.fromkeys(Path(os.fsdecode(name)) for name in listed.split(b"\0") if name)
