"""A filter on system calls for this process and its threads (seccomp, mode 2), through ctypes alone.

Two restrictions come before it: no new privileges, and no capabilities.

Only the calls of syscalls.py are allowed. Any other call, also one that a later kernel adds, fails with
EPERM, so that a program sees an exception. A call through the machine's second table of calls kills the
program.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable

from incoder.evaluation.sandbox import syscalls

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_CAPABILITY_VERSION_3 = 0x20080522
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _AND, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_DENY = _ERRNO | errno.EPERM


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def forbid_new_privileges() -> None:
    """From now on, no program that this process executes gets more privileges than it has.

    Raises:
        OSError: the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")


def give_up_capabilities() -> None:
    """Give up root's capabilities, such as the right to other users' files; has no effect for other users.

    Raises:
        OSError: the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header, none = struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24)
    if libc.capset(header, none) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def filter_syscalls(*, files_can_be_cut: bool = False) -> None:
    """Allow only the calls of syscalls.py from now on, for good; call `forbid_new_privileges` first.

    `files_can_be_cut` says that no other layer keeps readable files from being truncated.

    Raises:
        OSError: the kernel or the machine has no such filter.
    """
    instructions = b"".join(_filter(platform.machine(), os.getpid(), files_can_be_cut))
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    program = _Program(len(instructions) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def _filter(machine: str, pid: int, files_can_be_cut: bool) -> list[bytes]:
    if machine not in syscalls.AUDIT_ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no seccomp filter for {machine}")
    column = list(syscalls.AUDIT_ARCHITECTURES).index(machine)
    filter_ = [
        _instruction(_LOAD, 0, 0, _ARCHITECTURE),
        _instruction(_JUMP_EQUAL, 1, 0, syscalls.AUDIT_ARCHITECTURES[machine]),
        _instruction(_RETURN, 0, 0, _KILL),
        _instruction(_LOAD, 0, 0, _NUMBER),
        _instruction(_JUMP_GREATER_EQUAL, 0, 1, syscalls.X32_BIT),
        _instruction(_RETURN, 0, 0, _KILL),
        *_returned(syscalls.CLONE3[column], _ERRNO | errno.ENOSYS),
        *_unless(syscalls.CLONE[column], 0, _JUMP_SET, syscalls.CLONE_THREAD),
        *_unless(syscalls.KILL[column], 0, _JUMP_EQUAL, pid),
        *_unless(syscalls.TGKILL[column], 0, _JUMP_EQUAL, pid),
        *_unless(syscalls.PRLIMIT64[column], 2, _JUMP_EQUAL, 0, halves=True),
        *_unless(syscalls.SENDTO[column], 4, _JUMP_EQUAL, 0, halves=True),
        *_by_argument(syscalls.PRCTL[column], 0, syscalls.PRCTL_OPTIONS.values(), _ALLOW, _DENY),
        *_by_argument(syscalls.FCNTL[column], 1, syscalls.FCNTL_COMMANDS.values(), _ALLOW, _DENY),
        *_by_argument(syscalls.IOCTL[column], 1, syscalls.IOCTL_COMMANDS.values(), _ALLOW, _DENY),
    ]
    if files_can_be_cut:
        for number, argument in ((syscalls.OPEN[column], 1), (syscalls.OPENAT[column], 2)):
            if number is not None:
                values = (syscalls.CUT_WHILE_READING,)
                filter_ += _by_argument(number, argument, values, _DENY, _ALLOW, syscalls.OPEN_MASK)
    else:
        filter_ += _returned(syscalls.TRUNCATE[column], _ALLOW)
    for numbers in syscalls.ALLOWED.values():
        number = numbers[column]
        if number is not None:
            filter_ += _returned(number, _ALLOW)
    return [*filter_, _instruction(_RETURN, 0, 0, _DENY)]


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _returned(number: int, value: int) -> list[bytes]:
    """Return the value for this call; other calls continue. The call's number is loaded before and after."""
    return [_instruction(_JUMP_EQUAL, 0, 1, number), _instruction(_RETURN, 0, 0, value)]


def _unless(number: int, argument: int, test: int, value: int, *, halves: bool = False) -> list[bytes]:
    """Deny this call unless an argument passes the test, with `halves` in both of its 32 bits."""
    place = 16 + 8 * argument
    checks = [_instruction(_LOAD, 0, 0, place), _instruction(test, 1, 0, value)]
    checks += [_instruction(_RETURN, 0, 0, _DENY)]
    if halves:
        checks += [_instruction(_LOAD, 0, 0, place + 4), _instruction(test, 1, 0, value)]
        checks += [_instruction(_RETURN, 0, 0, _DENY)]
    checks += [_instruction(_RETURN, 0, 0, _ALLOW)]
    return [_instruction(_JUMP_EQUAL, 0, len(checks), number), *checks]


def _by_argument(
    number: int, argument: int, values: Iterable[int], listed: int, other: int, mask: int = 0xFFFFFFFF
) -> list[bytes]:
    """Decide on this call by the 32 bits that the kernel reads of an argument, masked.

    The filter returns `listed` if they are one of `values`, else `other`.
    """
    checks = [_instruction(_LOAD, 0, 0, 16 + 8 * argument), _instruction(_AND, 0, 0, mask)]
    for value in values:
        checks += _returned(value, listed)
    checks += [_instruction(_RETURN, 0, 0, other)]
    return [_instruction(_JUMP_EQUAL, 0, len(checks), number), *checks]
