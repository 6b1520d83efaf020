"""Files: atomic writes, bounded reads (of text and JSON), and digests.

A crash or a full disk never leaves half a file. Knows nothing of the purpose of the files.
"""

import errno
import hashlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from incoder.errors import IncoderError

MAX_JSON_BYTES = 100_000_000  # the largest published tokenizer.json have 35 MB
MAX_JSON_DEPTH = 100  # of nested lists and objects; notebooks and tokenizers stay under 10

_UNTRUSTED_MODE = stat.S_ISUID | stat.S_ISGID  # granted to the old content, not to its replacement
_ACL = "system.posix_acl_access"
_LABEL = "security.selinux"
_KEPT_ATTRIBUTES = ("user.", "system.", _LABEL)  # the others are the old content's: capabilities, IMA's hash
_MAX_NAME = 40  # characters of a name that its temporary file repeats: names have 255 bytes at most
_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}")  # the characters that Python's tempfile uses
_KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


@contextmanager
def replaced_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, renamed to `path` when the block ends without an error.

    `path` keeps its old content until the rename. The new file has the old one's mode (without setuid and
    setgid), its extended attributes such as ACLs, and its owner and group if this user may set them. A
    symbolic link is followed and then leads to the new content; other hard links keep the old content.

    Raises:
        IncoderError: the folder does not exist or cannot be written, the disk is full, or `path` is not a
            regular file.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.txt")
    ...     with replaced_atomically(path) as temporary:
    ...         temporary.write_bytes(b"new")
    ...     path.read_text()
    3
    'new'
    """
    target = Path(os.path.realpath(path))
    temporary: Path | None = None
    try:
        replaced = _stat(target)
        if replaced is not None and not stat.S_ISREG(replaced.st_mode):
            raise IncoderError(f"{path} is a {kind_of(replaced)}, not a regular file; it is left as it is")
        prefix = f".{target.name[:_MAX_NAME]}."
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=prefix, delete=False) as file:
            temporary = Path(file.name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # Last: safetensors may have renamed a file of its own to this, and the mode may forbid writing.
        if replaced is None:
            temporary.chmod(0o666 & ~_umask())
        else:
            _keep_attributes(target, replaced, temporary)
        temporary.replace(target)
    except OSError as error:
        raise IncoderError(f"cannot write {path}: {error.strerror or error}; nothing was changed") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path, names: Collection[str]) -> list[str]:
    """Remove temporary files of `replaced_atomically` that a killed process left; return their names.

    `names` are the names of the files that it was writing (`*` matches anything), each of at most 40
    characters. No other process may be writing them now.

    Raises:
        IncoderError: the folder cannot be read or written.
    """
    removed = []
    try:
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            of_file = _TEMPORARY.fullmatch(path.name)
            if (
                of_file
                and any(fnmatchcase(of_file[1], name) for name in names)
                and path.is_file()
                and not path.is_symlink()
            ):
                path.unlink()
                removed.append(path.name)
    except OSError as error:
        raise IncoderError(f"cannot clean up {folder}: {error.strerror}") from error
    return removed


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the content of `path` atomically.

    Raises:
        IncoderError: see `replaced_atomically`.
    """
    with replaced_atomically(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Replace the content of `path` atomically with UTF-8 text, line endings as they are.

    Raises:
        IncoderError: see `replaced_atomically`.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(Path(folder, "a.txt"), "x\\n")
    ...     read_text(Path(folder, "a.txt"), max_bytes=100)
    'x\\n'
    """
    write_bytes(path, content.encode("utf-8"))


def read_at_most(path: Path, max_bytes: int) -> bytes | None:
    """Return the content of a file, or None if it has more than `max_bytes`; the rest is not read.

    Raises:
        OSError: the file cannot be read.

    >>> read_at_most(Path(__file__), max_bytes=10) is None
    True
    """
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    return content if len(content) <= max_bytes else None


def read_text(path: Path, max_bytes: int) -> str:
    """Return the UTF-8 text of a file, with or without a byte order mark, line ends as they are.

    Raises:
        IncoderError: `path` cannot be read, is not a regular file, has more than `max_bytes`, or is not
            UTF-8.
    """
    try:
        return _read_bounded(path, max_bytes).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise IncoderError(f"{path} is not UTF-8 text: {error}") from error


def read_json(path: Path, *, max_bytes: int = MAX_JSON_BYTES) -> object:
    """Return the value in a JSON file (UTF-8, with or without a byte order mark).

    Raises:
        IncoderError: `path` cannot be read, is not a regular file, has more than `max_bytes`, is not JSON, or
            nests deeper than `MAX_JSON_DEPTH`.
    """
    return parse_json(_read_bounded(path, max_bytes), path)


def read_json_object(path: Path, *, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """Return the JSON object in a file: its values by name.

    Raises:
        IncoderError: as `read_json`, or the file holds a list, a string, a number, true, false or null.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(Path(folder, "a.json"), '{"num_layers": 6}')
    ...     read_json_object(Path(folder, "a.json"))
    {'num_layers': 6}
    """
    value = read_json(path, max_bytes=max_bytes)
    if not isinstance(value, dict):
        raise IncoderError(f"{path} must hold a JSON object, got {type(value).__name__}")
    return value


def parse_json(text: str | bytes, origin: object) -> object:
    """Return the value that a JSON text describes; `origin` names the text in the error (a path, a line).

    The caller bounds the length of the text.

    Raises:
        IncoderError: the text is not JSON, not UTF-8, or nests deeper than `MAX_JSON_DEPTH`.

    >>> parse_json('{"lines": [1, 2]}', "line 3")
    {'lines': [1, 2]}
    """
    too_deep = (
        f"{origin} nests lists or objects more than {MAX_JSON_DEPTH} deep; no file that InCoder reads does"
    )
    try:
        value: object = json.loads(text if isinstance(text, str) else text.decode("utf-8-sig"))
    except RecursionError as error:
        raise IncoderError(too_deep) from error
    except ValueError as error:  # also an integer of more than 4,300 digits, and bytes that are not UTF-8
        raise IncoderError(f"{origin} is not JSON: {error}") from error
    if _is_deeper(value, MAX_JSON_DEPTH):
        raise IncoderError(too_deep)
    return value


def make_folder(path: Path) -> Path:
    """Create the folder and its parents if they are missing, and return it.

    Raises:
        IncoderError: a file is in the way, or a parent cannot be written.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     make_folder(Path(folder, "a", "b")).name
    'b'
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IncoderError(f"cannot make the folder {path}: {error.strerror or error}") from error
    return path


def kind_of(status: os.stat_result) -> str:
    """Return the kind of a file: `folder`, `FIFO`, `socket`, `device` or `regular file`.

    >>> kind_of(Path("/").stat())
    'folder'
    """
    return _KINDS.get(stat.S_IFMT(status.st_mode), "regular file")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 digest of a file as hexadecimal digits; the file is read in chunks.

    >>> len(sha256_of(Path(__file__)))
    64
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_bounded(path: Path, max_bytes: int) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a FIFO would wait for a writer
            raise IncoderError(f"cannot read {path}: it is a {kind_of(status)}, not a regular file")
        content = read_at_most(path, max_bytes)
    except OSError as error:
        raise IncoderError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the path
        raise IncoderError(f"cannot read {str(path)!r}: {error}") from error
    if content is None:
        raise IncoderError(
            f"cannot read {path}: it has more than {max_bytes / 1e6:g} MB, too much for its kind"
        )
    return content


def _is_deeper(value: object, max_depth: int) -> bool:
    """Whether lists and objects nest deeper than `max_depth`."""
    level = [value]  # all values of one depth: a recursion would need the bound that is checked here
    for _ in range(max_depth + 1):
        containers = [item for item in level if isinstance(item, list | dict)]
        if not containers:
            return False
        level = [
            child
            for container in containers
            for child in (container.values() if isinstance(container, dict) else container)
        ]
    return True


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _keep_attributes(old_path: Path, old: os.stat_result, new_path: Path) -> None:
    """Copy the owner, group, extended attributes and mode of a file to the file that replaces it."""
    new = new_path.stat()
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        for owner, group in ((old.st_uid, -1), (-1, old.st_gid)):
            with suppress(OSError):  # only root may change the owner, others the group to one of theirs
                os.chown(new_path, owner, group)
    _copy_extended_attributes(old_path, new_path)
    new_path.chmod(stat.S_IMODE(old.st_mode) & ~_UNTRUSTED_MODE)


def _copy_extended_attributes(old_path: Path, new_path: Path) -> None:
    old, new = _extended_attributes(old_path), _extended_attributes(new_path)
    if _ACL in new and _ACL not in old:  # the folder's default, which the old file did not have
        os.removexattr(new_path, _ACL)
    for name in old:
        if name.startswith(_KEPT_ATTRIBUTES):
            try:
                os.setxattr(new_path, name, os.getxattr(old_path, name))
            except OSError:
                if name != _LABEL:  # SELinux labels the new file if this process may not
                    raise


def _extended_attributes(path: Path) -> list[str]:
    if not hasattr(os, "listxattr"):  # only Linux has them here
        return []
    try:
        return os.listxattr(path)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
