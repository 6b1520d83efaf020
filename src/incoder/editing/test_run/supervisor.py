"""The supervisor of a command: it kills the command and its processes, whatever happens to our own process.

It is started as a script: `python -I -S supervisor.py REQUEST REPORT`. REQUEST is a JSON file with the fields
of `containment.Request` and `control_group`, a folder or null. The supervisor writes one JSON object to the
descriptor REPORT: `status` is the command's exit status, `unavailable` is the reason why the system does not
allow this containment, and `error` the reason why the command cannot be started. When standard input is
closed, which also happens if the process that started the supervisor is killed, it kills the command with all
its descendants.

There are two processes. The inner one is the command's parent, so `kill -9 $PPID` reaches only that one. With
namespaces it is the first process of a PID namespace: the kernel ignores signals that the command sends to
it, and kills every process of the namespace when it ends. Without namespaces the outer process is the
subreaper (Linux): the kernel makes it the parent of all orphans. On other systems only the process group is
killed.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

_IS_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWPID = 0x00020000, 0x10000000, 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_SLAVE = 2, 4, 8, 0x1000, 0x4000, 0x80000
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
_STANDARD_INPUT = 0


class UnavailableError(Exception):
    """The system does not allow this containment."""


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_bytes())
    report = int(sys.argv[2])
    try:
        _prepare(request)
    except OSError as error:
        _write(report, unavailable=str(error))
        return
    message_reader, message_writer = os.pipe()
    inner = os.fork()
    if inner == 0:
        for descriptor in (report, message_reader):  # the command could open them through /proc
            os.close(descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), _STANDARD_INPUT)
        _run(request, message_writer)
    os.close(message_writer)
    if _IS_LINUX:
        _libc().prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # so that the command cannot write the report
    status = _watch(inner)
    message = _read_message(message_reader)
    if status is not None and "pid" not in message:
        _write(report, **message)
    elif status is not None and os.WIFEXITED(status):
        _write(report, status=os.WEXITSTATUS(status))
    if request["has_namespaces"] or not _IS_LINUX:
        _end_group(inner, None if _IS_LINUX else message.get("pid"))
    else:
        _end_descendants()
    if request["control_group"] is not None:
        _remove(Path(request["control_group"]))
    os._exit(0)


def processes() -> dict[int, int]:
    """The parent of each running process; empty if the system has no /proc."""
    parents = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():  # noqa: PTH112, PTH208 - start quickly
        with contextlib.suppress(OSError):
            if name.isdecimal():
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
                if state not in (b"Z", b"X"):
                    parents[int(name)] = int(parent)
    return parents


def descendants(ancestor: int) -> set[int]:
    """The processes that a process has started, directly or indirectly."""
    children = defaultdict(list)
    for pid, parent in processes().items():
        children[parent].append(pid)
    found, waiting = set[int](), [ancestor]
    while waiting:
        for pid in children[waiting.pop()]:
            if pid not in found:
                found.add(pid)
                waiting.append(pid)
    return found


def kill_all(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to each process; skip processes that have just ended or belong to another user."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def kill_descendants(ancestor: int) -> None:
    """Kill the descendants of a process; they are stopped first, so that none of them starts another."""
    stopped = set[int]()
    while new := descendants(ancestor) - stopped:
        kill_all(new, signal.SIGSTOP)
        stopped |= new
    kill_all(stopped)


def _prepare(request: dict[str, Any]) -> None:
    """Set up the containment that the command's processes cannot leave.

    Raises:
        OSError: the system does not allow it.
    """
    if request["control_group"] is not None:
        with contextlib.suppress(OSError):
            Path(request["control_group"], "cgroup.procs").write_text("0")
    if request["has_namespaces"]:
        _enter_namespaces()
    elif _IS_LINUX:
        _libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _enter_namespaces() -> None:
    """Enter a new mount namespace, and a new PID namespace for our children, as the same user.

    Without the rights for that a user namespace is added, so root keeps its own rights.
    """
    if not _IS_LINUX:
        raise OSError("only Linux has namespaces")
    uid, gid = os.geteuid(), os.getegid()
    try:
        _unshare(_CLONE_NEWNS | _CLONE_NEWPID)
    except PermissionError:
        _unshare(_CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWPID)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _run(request: dict[str, Any], messages: int) -> NoReturn:
    """Run the command as its parent and exit with its status like a shell; a message reports its start."""
    try:
        if _IS_LINUX:
            _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if request["has_namespaces"]:
            _arrange_mounts(request)
    except OSError as error:
        _write(messages, unavailable=str(error))
        os._exit(1)
    try:
        os.chdir(request["folder"])
        process = subprocess.Popen(
            request["command"], shell=True, stdin=subprocess.DEVNULL, start_new_session=True
        )
    except (OSError, ValueError) as error:
        _write(messages, error=str(error))
        os._exit(1)
    _write(messages, pid=process.pid)
    os.close(messages)
    ended = 0
    while ended != process.pid:
        ended, status = os.wait()  # also for orphans: the first process of a namespace adopts them
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _arrange_mounts(request: dict[str, Any]) -> None:
    """Mount the namespace's own /proc, the read-only folders, and the overlay in place of the tree.

    Raises:
        OSError: the system does not allow it.
    """
    overlay = request["overlay"]
    opened = [os.open(path, os.O_PATH) for path in overlay["layers"]] if overlay else []
    _mount(None, "/", None, _MS_REC | _MS_SLAVE)
    _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    for path in request["read_only"]:
        _mount(path, path, None, _MS_BIND | _MS_REC)
        attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
        size = ctypes.c_size_t(ctypes.sizeof(attributes))
        _checked(
            _libc().syscall(
                ctypes.c_long(_SYS_MOUNT_SETATTR),
                _AT_FDCWD,
                os.fsencode(path),
                _AT_RECURSIVE,
                ctypes.byref(attributes),
                size,
            )
        )
    if overlay is None:
        return
    # Descriptors, not paths: a path may have the characters that separate these options.
    lower, upper, work = (f"/proc/self/fd/{descriptor}" for descriptor in opened)
    is_first = Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]  # user namespace
    options = f"lowerdir={lower},upperdir={upper},workdir={work}{'' if is_first else ',userxattr'}"
    _mount("overlay", overlay["layers"][0], "overlay", 0, options)
    if os.stat(overlay["layers"][0]).st_dev == os.fstat(opened[0]).st_dev:  # noqa: PTH116
        raise OSError("the overlay is not where the tree was")
    for descriptor in opened:
        os.close(descriptor)
    file, before = Path(overlay["file"]), os.stat(overlay["file"])  # noqa: PTH116
    file.write_bytes(Path(overlay["text"]).read_bytes())
    if int(file.stat().st_mtime) == int(before.st_mtime):  # else Python would use the cached bytecode
        os.utime(file, (before.st_atime, before.st_mtime + 2))


def _watch(inner: int) -> int | None:
    """The inner process's wait status after it has ended; None if standard input is closed first."""
    wake_reader, wake_writer = os.pipe()
    os.set_blocking(wake_reader, False)
    os.set_blocking(wake_writer, False)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        status = _reaped(inner)
        if status is not None:
            return status
        ready, _, _ = select.select([_STANDARD_INPUT, wake_reader], [], [])
        if _STANDARD_INPUT in ready:
            return None
        os.read(wake_reader, 4096)


def _reaped(inner: int) -> int | None:
    """The inner process's wait status if it has ended; reaps orphans, and resumes it if it is stopped."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
        if pid == inner and os.WIFSTOPPED(status):
            os.kill(inner, signal.SIGCONT)
        elif pid == inner:
            return status
        elif pid == 0:
            return None


def _end_group(inner: int, group: int | None) -> None:
    kill_all([inner])
    if group is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(inner, 0)


def _end_descendants() -> None:
    while descendants(os.getpid()):
        kill_descendants(os.getpid())
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.002)  # until the killed processes have ended


def _remove(control_group: Path) -> None:
    """Leave a cgroup and remove it, because no other process does if our parent was killed."""
    with contextlib.suppress(OSError):
        (control_group.parent / "cgroup.procs").write_text("0")
        (control_group / "cgroup.kill").write_text("1")
        control_group.rmdir()


def _write(descriptor: int, **said: object) -> None:
    os.write(descriptor, json.dumps(said).encode())


def _read_message(descriptor: int) -> dict[str, Any]:
    """The message of the inner process on its start; empty if there is none."""
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BlockingIOError, ValueError):
        message: dict[str, Any] = json.loads(os.read(descriptor, 1 << 16))
        return message
    return {}


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _unshare(flags: int) -> None:
    _checked(_libc().unshare(flags))


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    _checked(_libc().mount(*encoded[:3], ctypes.c_ulong(flags), encoded[3]))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main()
