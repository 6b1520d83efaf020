"""What is said of a task that failed."""

from pathlib import Path

import pytest

from incoder.corpus.engine import running
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


@pytest.mark.parametrize(
    ("reason", "said"), [("no such column", "no such column"), ("", "the disk may be full")]
)
def test_a_failed_task_has_a_reason_also_where_the_disk_had_no_room_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str, said: str
) -> None:
    monkeypatch.setattr(running, "_executor", lambda _, home, __: FailedExecutor(home, reason))
    with pytest.raises(IncoderError, match=f"stage `read` failed in task 0: .*{said}; its log is"):
        run_stage(Stage("read", nothing, [1]), tmp_path, EngineSettings())
