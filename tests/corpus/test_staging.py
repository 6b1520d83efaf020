from pathlib import Path

import pytest

from incoder.corpus.staging import sealed_together
from incoder.errors import IncoderError


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def write_both(folder: Path, text: str) -> None:
    with sealed_together(folder, "seal") as partial:
        (partial / "seal").write_text(text)
        (partial / "other").write_text(text)


def test_files_appear_together_and_replace_the_old_ones(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    write_both(folder, "one")
    (folder / "kept").write_text("k")
    write_both(folder, "two")
    assert content(folder) == {"seal": "two", "other": "two", "kept": "k"}


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, IncoderError])
def test_an_interruption_changes_nothing(tmp_path: Path, interruption: type[BaseException]) -> None:
    write_both(tmp_path, "one")

    def interrupted() -> None:
        with sealed_together(tmp_path, "seal") as partial:
            (partial / "other").write_text("two")
            raise interruption

    with pytest.raises(interruption):
        interrupted()
    assert content(tmp_path) == {"seal": "one", "other": "one"}


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".partial").mkdir()
    (tmp_path / ".partial" / "old").write_text("half")
    write_both(tmp_path, "one")
    assert content(tmp_path) == {"seal": "one", "other": "one"}


def test_a_full_disk_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="No space left"), sealed_together(tmp_path, "seal"):
        raise OSError(28, "No space left on device")


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(IncoderError, match="cannot make the folder"), sealed_together(tmp_path / "file", "s"):
        pass
