"""Progress in a log file: a line a minute, from every kind of progress."""

import pytest

from incoder.cli import log_lines
from incoder.cli.console import notes, progress, progress_bar
from incoder.cli.log_lines import LoggedProgress, LogLines


def test_a_line_a_minute_is_written_and_no_more() -> None:
    now, told = 0.0, list[str]()
    lines = LogLines(told.append, clock=lambda: now)
    for second in range(0, 200, 10):
        now = float(second)
        lines.tell(f"at {second} s")
    assert told == ["at 60 s", "at 120 s", "at 180 s"]


def test_all_kinds_of_progress_write_to_a_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "_LINE_SECONDS", 0.0)
    with progress("loading …") as update:
        update("3 of 4 infills written …")
    with progress_bar("reading", 2000) as count:
        count(1000)
    with LoggedProgress(console=notes) as bars:
        bars.update(bars.add_task("merging", total=None), completed=5)
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        "3 of 4 infills written …",
        "reading: 1,000 of 2,000 (50 %)",
        "merging: 5",
    ]
    assert told.out == ""


def test_short_work_writes_nothing_to_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("loading …") as update, progress_bar("reading", 2) as count:
        update("done")
        count()
    assert capsys.readouterr().err == ""
