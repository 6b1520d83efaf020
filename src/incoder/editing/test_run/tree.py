"""The folder tree of a test run: its files, the links that lead out of it, and a copy of it.

The copy is made once, and `TreeCopy.restore` undoes all changes in it. It has no hard links, because a
command that writes to one would change the original.
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
from incoder.file_listing import run_git

ENVIRONMENTS = (".venv", "venv", "node_modules")
_CACHES = {".git", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", *ENVIRONMENTS}
_FICLONE = 0x40049409
_Signature = tuple[int, ...]
Progress = Callable[[int, int], None]


class TreeCopy:
    """A copy of the files in `root` that git does not ignore; without git, of all files but caches.

    Environments such as `.venv` are not copied but linked.
    """

    def __init__(self, root: Path, folder: Path, max_bytes: int, on_progress: Progress) -> None:
        """Make the copy as the new folder `folder`; `on_progress` gets the numbers of files done and of all.

        The parent of `folder` is private: if it is inside the tree, nothing in it is copied.

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
        self._original = dict(_signatures(folder))

    def restore(self) -> None:
        """Bring the copy back to its first state; only files that have changed are copied again.

        Raises:
            OSError: a file cannot be copied.
        """
        found = dict(_signatures(self.folder))
        changed = {path for path, signature in self._original.items() if found.get(path) != signature}
        surplus = found.keys() - self._original.keys()
        for path in sorted(changed | surplus, reverse=True):  # the content of a folder before the folder
            _remove(self.folder / path, keep_folder=_is_folder(self._original.get(path)))
        for path in sorted(changed):
            if _is_folder(self._original[path]):
                (self.folder / path).mkdir(exist_ok=True)
                (self.folder / path).chmod(stat.S_IMODE(self._original[path][0]))
            elif str(path) in self.environments:
                (self.folder / path).symlink_to(self.root / path)
            else:
                self._copy(path)
            self._original[path] = _signature((self.folder / path).lstat())

    def _copy(self, path: Path) -> None:
        source, target = self.root / path, self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(self._link_target(source))
        else:
            copy_file(source, target)

    def _link_target(self, link: Path) -> Path:
        """The target of a link's copy: in the copy if the link leads into the tree, else unchanged."""
        target = Path(os.path.normpath(link.parent / link.readlink()))
        return self.folder / target.relative_to(self.root) if target.is_relative_to(self.root) else target


def copy_file(source: Path, target: Path) -> None:
    """Copy a file with its times and mode, as a reflink (shared blocks) if the file system can."""
    if not _reflinked(source, target):
        shutil.copyfile(source, target)
    shutil.copystat(source, target)


def links_out_of(root: Path) -> list[Path]:
    """The files and folders outside a tree to which its links lead, each once, and none inside another."""
    targets = set[Path]()
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            path = os.path.join(folder, name)  # noqa: PTH118 - of many files
            if os.path.islink(path):  # noqa: PTH114
                with contextlib.suppress(OSError, RuntimeError):  # a broken or a circular link
                    targets.add(Path(path).resolve(strict=True))
    outside = [
        target
        for target in targets
        if not target.is_relative_to(root) and (target.is_file() or target.is_dir())
    ]
    return sorted(target for target in outside if not any(parent in targets for parent in target.parents))


def _reflinked(source: Path, target: Path) -> bool:
    if sys.platform != "linux":
        return False
    import fcntl

    with source.open("rb") as read, target.open("wb") as written:
        try:
            fcntl.ioctl(written.fileno(), _FICLONE, read.fileno())
        except OSError:  # another file system, or one without reflinks
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
    """Yield a signature of each file, link and folder in a folder; a change of one changes its signature."""
    waiting = [folder]
    while waiting:
        for entry in list(os.scandir(waiting.pop())):
            path, status = Path(entry.path), entry.stat(follow_symlinks=False)
            yield path.relative_to(folder), _signature(status)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
                if status.st_mode & stat.S_IRWXU != stat.S_IRWXU:  # the command has taken rights away
                    path.chmod(stat.S_IRWXU)


def _signature(status: os.stat_result) -> _Signature:
    if stat.S_ISDIR(status.st_mode):
        return (status.st_mode,)  # a folder's times change with its content
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
    """Yield the files and links of a tree, without entries that cannot be copied, such as pipes."""
    for path in _listed(root):
        if (root / path).is_symlink() or (root / path).is_file():
            yield path


def _listed(root: Path) -> Iterator[Path]:
    try:
        listed = run_git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    except (OSError, subprocess.CalledProcessError):
        for folder, names, files in os.walk(root):
            names[:] = [name for name in names if name not in _CACHES]
            links = [name for name in names if (Path(folder) / name).is_symlink()]
            yield from ((Path(folder) / name).relative_to(root) for name in (*files, *links))
        return
    yield from dict.fromkeys(Path(os.fsdecode(name)) for name in listed.split(b"\0") if name)
