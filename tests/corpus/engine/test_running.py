"""What is said of a task that failed."""

import errno
from pathlib import Path

import pytest

from incoder.corpus.engine import local, running
from incoder.corpus.engine.engine_settings import EngineSettings
from incoder.corpus.engine.running import run_stage
from incoder.corpus.engine.stage import OnBytes, Stage
from incoder.errors import IncoderError


class FailedExecutor:
    """Its only task left a note with this reason."""

    def __init__(self, home: Path, reason: str) -> None:
        self._note, self._reason = home / "failures" / "000000", reason

    def run(self) -> None:
        self._note.parent.mkdir(parents=True)
        self._note.write_text(self._reason)

    def get_incomplete_ranks(self) -> list[int]:
        return [0]


def nothing(task: int, on_bytes: OnBytes) -> None:
    raise AssertionError((task, on_bytes))


def is_whole(task: int) -> bool:
    raise AssertionError(task)


@pytest.mark.parametrize(
    ("reason", "said"), [("no such column", "no such column"), ("", "the disk may be full")]
)
def test_a_failed_task_has_a_reason_also_where_the_disk_had_no_room_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str, said: str
) -> None:
    monkeypatch.setattr(running, "_executor", lambda _, home, __: FailedExecutor(home, reason))
    with pytest.raises(IncoderError, match=f"stage `read` failed in task 0: .*{said}; its log is"):
        run_stage(Stage("read", nothing, [1], is_whole), tmp_path, EngineSettings())


def test_a_full_disk_is_named_though_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = FailedExecutor(tmp_path / "read", "")
    vars(executor)["full_disk"] = {0}  # what the exit status of its process says
    monkeypatch.setattr(running, "_executor", lambda *_: executor)
    with pytest.raises(IncoderError, match=r"no space left on the disk of .*goes on from the work so far"):
        run_stage(Stage("read", nothing, [1], is_whole), tmp_path, EngineSettings())


def test_a_full_disk_is_known_behind_other_errors() -> None:
    error = IncoderError("cannot write")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert local._is_full_disk(error)
    assert not local._is_full_disk(PermissionError(errno.EACCES, "Permission denied"))
