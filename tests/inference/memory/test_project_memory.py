"""Project memory as a whole: what it knows, what it must not know, and that nothing goes wrong with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from incoder.errors import IncoderError
from incoder.inference.memory import project_memory
from incoder.inference.memory.prior import MemoryPrior
from incoder.inference.memory.project_memory import ProjectMemory, vocabulary_of
from incoder.tokenizer.tokenizer import Tokenizer

Write = Callable[[str, str], Path]
Knows = Callable[[MemoryPrior, str], bool]

ONLY_IN_A = "    total = accumulate_everything(values, start=17)\n"
ONLY_IN_B = "    print(format_report(title, rows, width=93))\n"
TYPED = "    window.resize(columns=41, rows=12)\n"


@pytest.fixture
def memory(tmp_path: Path, write: Write, tiny_tokenizer: Tokenizer) -> ProjectMemory:
    write("a.py", "def a(values):\n" + ONLY_IN_A)
    write("b.py", "def b(title, rows):\n" + ONLY_IN_B)
    return ProjectMemory(tmp_path / "project", tiny_tokenizer, folder=tmp_path / "cache")


def test_a_line_of_another_file_is_known(memory: ProjectMemory, tmp_path: Path, knows: Knows) -> None:
    prior = memory.prior(["def a(values):\n", ""], tmp_path / "project" / "a.py")
    assert knows(prior, ONLY_IN_B)


def test_a_line_that_only_the_open_file_has_on_disk_is_not_known(
    memory: ProjectMemory, tmp_path: Path, knows: Knows, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["def a(values):\n", "\n"]
    assert knows(memory.prior(), ONLY_IN_A)
    assert not knows(memory.prior(texts, tmp_path / "project" / "a.py"), ONLY_IN_A)
    (tmp_path / "link").symlink_to(tmp_path / "project")
    assert not knows(memory.prior(texts, tmp_path / "link" / "a.py"), ONLY_IN_A)
    monkeypatch.chdir(tmp_path / "project")
    for name in ("a.py", "./a.py", "../project/a.py"):
        assert not knows(memory.prior(texts, name), ONLY_IN_A)


def test_a_hard_link_to_the_open_file_is_not_looked_at(
    memory: ProjectMemory, tmp_path: Path, knows: Knows
) -> None:
    (tmp_path / "project" / "same.py").hardlink_to(tmp_path / "project" / "a.py")
    assert knows(memory.prior(), ONLY_IN_A)
    assert not knows(memory.prior(path=tmp_path / "project" / "a.py"), ONLY_IN_A)


def test_an_index_that_somebody_else_put_there_is_not_read(
    memory: ProjectMemory, tmp_path: Path, tiny_tokenizer: Tokenizer, knows: Knows
) -> None:
    memory.refresh()
    (folder,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    folder.rename(tmp_path / "theirs")
    folder.symlink_to(tmp_path / "theirs")
    notes = list[str]()
    again = ProjectMemory(
        tmp_path / "project", tiny_tokenizer, folder=tmp_path / "cache", on_note=notes.append
    )
    assert knows(again.prior(), ONLY_IN_A)
    assert all("not a folder of this user" in note for note in notes)
    assert len(notes) == 2  # it is neither read nor written


def test_the_open_files_text_is_known_on_both_sides_of_the_hole(
    memory: ProjectMemory, tmp_path: Path, knows: Knows
) -> None:
    path = tmp_path / "project" / "a.py"
    assert not knows(memory.prior(["", ""], path), TYPED)
    assert knows(memory.prior([TYPED + "    return 1\n", ""], path), TYPED)
    assert not knows(memory.prior([TYPED, ""], path), TYPED)  # its last tokens may be cut
    assert knows(memory.prior(["", TYPED], path), TYPED)
    assert knows(memory.prior(["", TYPED.replace("\n", "\r\n")], path), TYPED)


def test_the_saved_file_stays_unknown_after_it_was_saved_again(
    memory: ProjectMemory, write: Write, knows: Knows
) -> None:
    memory.refresh()
    path = write("a.py", TYPED)
    assert not knows(memory.prior(path=path), TYPED)
    memory.refresh()
    assert not knows(memory.prior(path=path), TYPED)
    assert not knows(memory.prior(path=path), ONLY_IN_A)
    assert knows(memory.prior(), TYPED)
    assert not knows(memory.prior(), ONLY_IN_A)


def test_a_draft_never_comes_from_the_open_files_saved_version(
    memory: ProjectMemory, tmp_path: Path, tiny_tokenizer: Tokenizer
) -> None:
    context = tiny_tokenizer.encode("    total = accumulate_every")
    assert memory.prior().draft(context, 5)
    assert memory.prior(path=tmp_path / "project" / "a.py").draft(context, 5) == []


def test_files_may_be_left_out(memory: ProjectMemory, knows: Knows) -> None:
    prior = memory.prior(left_out=["b.py"])
    assert (knows(prior, ONLY_IN_A), knows(prior, ONLY_IN_B)) == (True, False)


def test_changes_count_from_the_next_refresh(memory: ProjectMemory, write: Write, knows: Knows) -> None:
    memory.refresh()
    write("c.py", TYPED)
    assert not knows(memory.prior(), TYPED)
    memory.refresh()
    assert knows(memory.prior(), TYPED)


def test_another_process_finds_what_was_stored(
    memory: ProjectMemory,
    tmp_path: Path,
    tiny_tokenizer: Tokenizer,
    monkeypatch: pytest.MonkeyPatch,
    knows: Knows,
) -> None:
    memory.refresh()
    again = ProjectMemory(tmp_path / "project", tiny_tokenizer, folder=tmp_path / "cache")
    monkeypatch.setattr(project_memory, "updated", lambda index, *_: index)
    assert knows(again.prior(), ONLY_IN_A)


def test_a_damaged_index_is_built_anew_with_a_note(
    memory: ProjectMemory, tmp_path: Path, tiny_tokenizer: Tokenizer, knows: Knows
) -> None:
    memory.refresh()
    for segment in (tmp_path / "cache").rglob("*.segment"):
        segment.write_bytes(b"damaged")
    for expected in (["the project memory of", "was damaged"], []):
        notes = list[str]()
        again = ProjectMemory(
            tmp_path / "project", tiny_tokenizer, folder=tmp_path / "cache", on_note=notes.append
        )
        assert knows(again.prior(), ONLY_IN_A)
        assert all(words in "".join(notes) for words in expected)
        assert bool(notes) == bool(expected)


def test_where_nothing_can_be_stored_there_is_a_note_and_a_prior(
    memory: ProjectMemory, tmp_path: Path, tiny_tokenizer: Tokenizer, knows: Knows
) -> None:
    assert memory.root == tmp_path / "project"
    (tmp_path / "file").touch()
    notes = list[str]()
    unstored = ProjectMemory(
        tmp_path / "project", tiny_tokenizer, folder=tmp_path / "file" / "cache", on_note=notes.append
    )
    assert knows(unstored.prior(), ONLY_IN_A)
    assert "is not stored" in notes[-1]


def test_without_a_folder_nothing_is_stored(
    tmp_path: Path, write: Write, tiny_tokenizer: Tokenizer, knows: Knows
) -> None:
    write("a.py", ONLY_IN_A)
    assert knows(ProjectMemory(tmp_path / "project", tiny_tokenizer).prior(), ONLY_IN_A)
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


def test_projects_and_vocabularies_do_not_share_an_index(
    memory: ProjectMemory, tmp_path: Path, tiny_tokenizer: Tokenizer
) -> None:
    memory.refresh()
    (tmp_path / "second").mkdir()
    ProjectMemory(tmp_path / "second", tiny_tokenizer, folder=tmp_path / "cache").refresh()
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 1  # it has no file
    (tmp_path / "second" / "a.py").write_text("x = 1\n")
    ProjectMemory(tmp_path / "second", tiny_tokenizer, folder=tmp_path / "cache").refresh()
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 2
    assert vocabulary_of(tiny_tokenizer) == vocabulary_of(tiny_tokenizer)


def test_a_keystroke_encodes_one_paragraph(
    memory: ProjectMemory, tiny_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    paragraphs = [f"def f{number}(x):\n    return x + {number}\n\n\n" for number in range(10)]
    memory.prior(paragraphs)
    encoded = list[str]()

    def encode_batch(texts: list[str]) -> list[list[int]]:
        encoded.extend(texts)
        return [tiny_tokenizer.encode(text) for text in texts]

    monkeypatch.setattr(tiny_tokenizer, "encode_batch", encode_batch)
    paragraphs[4] = "def g(x):\n    pass\n\n\n"
    memory.prior(["".join(paragraphs)])
    assert encoded == ["def g(x):\n    pass\n\n\n"]


def test_a_missing_project_is_an_error(tmp_path: Path, tiny_tokenizer: Tokenizer) -> None:
    with pytest.raises(IncoderError, match="is not a folder"):
        ProjectMemory(tmp_path / "missing", tiny_tokenizer).refresh()
