import hashlib
import json
from pathlib import Path

import pytest

from incoder.corpus.storage.commit import committed_together, names_in_manifest, names_written
from incoder.errors import IncoderError


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def manifest_of(text: str, *names: str) -> str:
    return json.dumps({"sha256": dict.fromkeys(names, hashlib.sha256(text.encode()).hexdigest())})


def write_together(folder: Path, text: str, *names: str) -> None:
    with committed_together(folder, "manifest", folder / ".work") as partial:
        for name in names:
            (partial / name).write_text(text)
        (partial / "manifest").write_text(manifest_of(text, *names))


def test_files_appear_together_and_replace_those_of_the_run_before(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    write_together(folder, "one", "a", "b")
    (folder / "kept").write_text("k")
    write_together(folder, "two", "b", "c")
    assert content(folder) == {"manifest": manifest_of("two", "b", "c"), "b": "two", "c": "two", "kept": "k"}


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, IncoderError])
def test_an_interruption_changes_nothing(tmp_path: Path, interruption: type[BaseException]) -> None:
    write_together(tmp_path, "one", "a")

    def interrupted() -> None:
        with committed_together(tmp_path, "manifest", tmp_path / ".work") as partial:
            (partial / "a").write_text("two")
            raise interruption

    with pytest.raises(interruption):
        interrupted()
    assert content(tmp_path) == {"manifest": manifest_of("one", "a"), "a": "one"}


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".work" / "partial").mkdir(parents=True)
    (tmp_path / ".work" / "partial" / "old").write_text("half")
    write_together(tmp_path, "one", "a")
    assert content(tmp_path) == {"manifest": manifest_of("one", "a"), "a": "one"}


@pytest.mark.parametrize("name", ["a", "manifest"])
def test_a_file_of_somebody_else_is_refused_and_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("theirs")
    with pytest.raises(IncoderError, match=f"holds {name}, which would be replaced"):
        write_together(tmp_path, "ours", "a")
    assert content(tmp_path) == {name: "theirs"}


def test_a_file_that_came_beside_ours_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    write_together(tmp_path, "one", "a")
    (tmp_path / "b").write_text("theirs")
    with pytest.raises(IncoderError, match="holds b"):
        write_together(tmp_path, "two", "a", "b")
    assert content(tmp_path) == {"manifest": manifest_of("one", "a"), "a": "one", "b": "theirs"}


def test_a_file_of_ours_that_was_changed_since_is_refused_and_stays(tmp_path: Path) -> None:
    write_together(tmp_path, "one", "a", "b")
    (tmp_path / "a").write_text("one, and what I wrote below it")
    with pytest.raises(IncoderError, match="holds a, which would be replaced and is not what an earlier run"):
        write_together(tmp_path, "two", "a", "b")
    assert content(tmp_path)["a"] == "one, and what I wrote below it"
    (tmp_path / "a").unlink()
    write_together(tmp_path, "two", "a", "b")
    assert content(tmp_path) == {"manifest": manifest_of("two", "a", "b"), "a": "two", "b": "two"}


def test_a_changed_file_that_no_new_one_replaces_stays(tmp_path: Path) -> None:
    write_together(tmp_path, "one", "a", "b")
    (tmp_path / "b").write_text("mine")
    write_together(tmp_path, "two", "a")
    assert content(tmp_path) == {"manifest": manifest_of("two", "a"), "a": "two", "b": "mine"}


def test_a_run_killed_between_two_renames_leaves_files_that_the_next_one_may_replace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_together(tmp_path, "one", "a", "b")
    replace = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if target == tmp_path / "b":
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_together(tmp_path, "two", "a", "b", "c")
    monkeypatch.undo()
    assert "manifest" not in content(tmp_path)
    assert names_written(tmp_path, "manifest", tmp_path / ".work") == {"manifest", "a", "b", "c"}
    write_together(tmp_path, "three", "c")
    assert content(tmp_path) == {"manifest": manifest_of("three", "c"), "c": "three"}


def test_a_manifest_names_no_file_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "manifest").write_text(manifest_of("", "../a", "/etc/passwd", "..", "b/c", "", "d"))
    assert names_in_manifest(tmp_path, "manifest") == {"d"}


@pytest.mark.parametrize("text", ["", "[" * 100_000, "[]", "3", '{"sha256": 3}', '{"sha256": [1]}', "\xff"])
def test_another_file_of_the_manifests_name_names_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest").write_bytes(text.encode("latin-1"))
    assert names_in_manifest(tmp_path, "manifest") == frozenset()


def test_a_full_disk_is_an_error_of_the_user(tmp_path: Path) -> None:
    with (
        pytest.raises(IncoderError, match="No space left"),
        committed_together(tmp_path, "manifest", tmp_path / ".work"),
    ):
        raise OSError(28, "No space left on device")


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(IncoderError, match="cannot make the folder"),
        committed_together(tmp_path / "file", "s", tmp_path / ".work"),
    ):
        pass
