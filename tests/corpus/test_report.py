"""What is counted while a corpus is built."""

import json
from pathlib import Path

from incoder.corpus.report import Report
from incoder.corpus.source_file import Dropped, DroppedProject, SourceFile


def test_names_that_are_no_utf8_can_be_reported() -> None:
    report, name = Report(), "b\udcff\ud83d"
    report.add_project(SourceFile(name, "a.py", "folder", Path("a.py"), 1))
    report.on_drop(Dropped(name, name, 1, "empty", name))
    report.on_drop(DroppedProject(name, None, None, "excluded"))
    written = json.dumps(report.as_dict((), {}), ensure_ascii=False).encode()
    assert written.count(rb"b\\udcff\\ud83d") == 5
