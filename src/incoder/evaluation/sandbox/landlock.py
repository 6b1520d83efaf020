"""Confinement of this process's file access by Landlock, through ctypes alone.

A confined program can read the interpreter and its libraries, and has all rights in one folder. It can open
no other file, list no other folder and use no TCP. Landlock hides neither whether a path exists nor its size,
owner and times.
"""

import ctypes
import os
import struct
import sys
from pathlib import Path

# Numbers are the same on all machines.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_GIVE_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL = 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_READ = _EXECUTE | _READ_FILE | _READ_FOLDER
_ALL_TCP, _ALL_SCOPES = 0b11, 0b11
# The number of access rights to files that each version knows.
_NUM_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_SYSTEM = ("/usr", "/lib", "/lib64", "/etc/localtime", "/etc/ld.so.cache", "/dev/urandom")
_DEVICES = ("/dev/null", "/dev/zero")


def version() -> int:
    """The version of Landlock that the kernel has, 0 if it has none."""
    return max(0, _call(_CREATE_RULESET, None, 0, _GIVE_VERSION))


def stay_inside(folder: str) -> None:
    """Confine this process and its threads to a folder, for good; call `forbid_new_privileges` first.

    Raises:
        OSError: the kernel has no Landlock.
    """
    known = version()
    if known < 1:
        raise OSError(ctypes.get_errno(), "landlock")
    rights = (1 << _NUM_RIGHTS.get(known, 16)) - 1
    attributes = struct.pack("QQQ", rights, _ALL_TCP, _ALL_SCOPES)[
        : 8 if known < 4 else 16 if known < 6 else 24
    ]
    ruleset = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    readable = {*_SYSTEM, *map(os.path.realpath, (sys.prefix, sys.base_prefix))}
    for path in readable:
        _allow(ruleset, path, rights & _READ)
    for path in _DEVICES:
        _allow(ruleset, path, rights & (_READ_FILE | _WRITE_FILE))
    _allow(ruleset, folder, rights)
    if _call(_RESTRICT_SELF, ruleset, 0) != 0:
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # a path that does not exist needs no right
    if not Path(path).is_dir():
        rights &= _OF_FILES
    rule = struct.pack("=Qi", rights, file)
    if _call(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0) != 0:
        raise OSError(ctypes.get_errno(), f"landlock_add_rule {path}")
    os.close(file)


def _call(number: int, *arguments: int | bytes | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(ctypes.c_long(number), *arguments))
