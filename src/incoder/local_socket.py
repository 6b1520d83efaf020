"""Unix sockets in a folder that only its user can enter: binding one, and whether somebody listens on it."""

import fcntl
import os
import socket
import stat
import struct
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from incoder.errors import IncoderError

USERS_SERVER = "serve.sock"  # the socket of the server that the user started
_MAX_PATH = 100  # bytes of a socket's path: macOS allows 104, Linux 108
_CONNECT_SECONDS = 5.0
_LOCAL_PEERPID = 2  # of macOS's <sys/un.h>


def runtime_folder(environment: Mapping[str, str]) -> Path:
    """Return the path of the folder for sockets, by the rules for run-time files (XDG).

    >>> runtime_folder({"XDG_RUNTIME_DIR": "/run/user/1000"}).as_posix()
    '/run/user/1000/incoder'
    """
    runtime = Path(environment.get("XDG_RUNTIME_DIR") or "")
    if runtime.is_absolute():
        return runtime / "incoder"
    return Path(tempfile.gettempdir()) / f"incoder-{os.getuid()}"


def make_private(folder: Path) -> None:
    """Make a folder that only this user can enter, unless it is there.

    Raises:
        IncoderError: it cannot be made, or others own it or can enter it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise IncoderError(f"cannot make the folder {folder}: {error.strerror}") from error
    is_private = found.st_uid == os.getuid() and not found.st_mode & 0o077
    if not stat.S_ISDIR(found.st_mode) or not is_private:
        raise IncoderError(
            f"{folder} must be a folder of yours that nobody else can enter (chmod 700); "
            "set XDG_RUNTIME_DIR to another folder, or remove it"
        )


def is_listened_on(path: Path) -> bool:
    """Whether a process accepts connections on this socket, or hangs with a full queue of them."""
    with socket.socket(socket.AF_UNIX) as trying:
        trying.settimeout(_CONNECT_SECONDS)
        try:
            trying.connect(str(path))
        except TimeoutError:
            return True
        except OSError:
            return False
    return True


def listener(path: Path) -> int | None:
    """Return the id of the process that listens on this socket; None if there is none, or none is known."""
    with socket.socket(socket.AF_UNIX) as trying, suppress(OSError):
        trying.settimeout(_CONNECT_SECONDS)
        trying.connect(str(path))
        if sys.platform == "linux":
            found = trying.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            return int(struct.unpack("3i", found)[0])
        if sys.platform == "darwin":
            found = trying.getsockopt(0, _LOCAL_PEERPID, struct.calcsize("i"))
            return int(struct.unpack("i", found)[0])
    return None


def listen(path: Path) -> socket.socket | None:
    """Listen on a socket in a private folder; return None if another process does already.

    A socket that a killed process left is replaced. `remove` removes it.

    Raises:
        IncoderError: the folder is not private, the path too long, or the socket cannot be made.
    """
    make_private(path.parent)
    if len(os.fsencode(path)) > _MAX_PATH:
        raise IncoderError(f"a socket's path has at most {_MAX_PATH} bytes; {path} is longer")
    listening = socket.socket(socket.AF_UNIX)
    try:
        with (path.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.is_socket():
                if is_listened_on(path):
                    listening.close()
                    return None
                path.unlink()
            listening.bind(str(path))
            path.chmod(0o600)
            listening.listen(512)
    except OSError as error:
        listening.close()
        raise IncoderError(f"cannot listen on {path}: {error.strerror}") from error
    return listening


def remove(path: Path) -> None:
    """Remove the socket of a server that ends."""
    with suppress(OSError):
        path.unlink()
