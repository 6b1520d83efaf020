"""The evaluation of next edits, on a repository made here."""

import subprocess
from pathlib import Path, PurePath

import pytest

from incoder.editing.edits import Edit
from incoder.editing.next_edits.proposals import NextEdit
from incoder.errors import IncoderError
from incoder.evaluation.next_edits import Outcome, renames_alone, summary, tasks_of

FIRST = "def mean(xs):\n    total = sum(xs)\n\n\n\n    return total / len(xs)\n"
RENAMED = FIRST.replace("xs", "values")
ONE_LINE = RENAMED.replace("total = ", "total: float = ")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    def git(*arguments: str) -> None:
        settings = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(tmp_path), *settings, *arguments], check=True, capture_output=True)

    git("init", "-q")
    for text in (FIRST, RENAMED, ONE_LINE):
        (tmp_path / "a.py").write_text(text)
        (tmp_path / "é b.txt").write_text(text)
        git("add", "-A")
        git("commit", "-qm", "change")
    return tmp_path


def test_a_commit_with_several_changes_asks_for_those_after_the_first(repository: Path) -> None:
    single, several = tasks_of(repository)
    assert (several.before, several.final) == (FIRST, RENAMED)
    assert several.after == RENAMED.replace("len(values)", "len(xs)")
    (rest,) = several.rest
    assert (rest.line, rest.old, rest.new) == (
        6,
        ("    return total / len(values)\n",),
        ("    return total / len(xs)\n",),
    )
    assert (single.after, single.rest) == (ONE_LINE, ())


def test_other_extensions_and_unusual_names_are_read(repository: Path) -> None:
    assert {task.path for task in tasks_of(repository, ".txt")} == {PurePath("é b.txt")}


def test_the_right_place_and_the_right_text_count_apart(repository: Path) -> None:
    (task,) = (task for task in tasks_of(repository) if task.rest)
    place = task.after.index("len(xs)") + 4

    def outcome(text: str, line: int = 6) -> Outcome:
        return Outcome(
            task, (NextEdit(Edit(place, place + 2, text), line, "xs", 0.0, 0.0, 0.0, "name"),), 0.1
        )

    assert (outcome("values").has_place(1), outcome("values").is_exact) == (True, True)
    assert (outcome("total").has_place(1), outcome("total").is_exact) == (True, False)
    assert not outcome("values", line=3).has_place(3)
    assert not Outcome(task, (), 0.1).is_exact


def test_an_edit_that_restores_a_line_is_a_reversal(repository: Path) -> None:
    (task,) = (task for task in tasks_of(repository) if task.rest)
    start = task.after.index("values")
    undone = NextEdit(Edit(start, start + 6, "xs"), 1, "values", 0.0, 0.0, 0.0, "name")
    assert Outcome(task, (undone,), 0.1).is_reversal


def test_the_baseline_replaces_a_replaced_name(repository: Path) -> None:
    (task,) = (task for task in tasks_of(repository) if task.rest)
    (edit,) = renames_alone(task.before, task.after, path=task.path)
    assert Outcome(task, (edit,), 0.1).is_exact


def test_rates_are_over_their_own_kind_of_commit(repository: Path) -> None:
    outcomes = [
        Outcome(task, tuple(renames_alone(task.before, task.after, path=task.path)), 0.002)
        for task in tasks_of(repository)
    ]
    found = summary(outcomes)
    assert (found["tasks"], found["single_change_tasks"]) == (1, 1)
    rates = {name: value["rate"] for name, value in found.items() if isinstance(value, dict)}
    assert rates == {
        "shown": 1.0,
        "place@1": 1.0,
        "place@3": 1.0,
        "exact": 1.0,
        "precision": 1.0,
        "reversals": 0.0,
        "false_alarms": 0.0,
    }
    assert found["p50_ms"] == pytest.approx(2.0)


def test_a_folder_without_commits_is_named(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="is not a git repository with commits"):
        next(tasks_of(tmp_path))
