"""What is shown stays while it is typed, whatever the editor closes by itself."""

import pytest

from incoder.language_server.typed_through import TypedThrough

PREFIX, SUFFIX = "import os\nx = ", "\nprint(x)\n"


def left(typed: str, suffix: str = SUFFIX, suggestion: str = "len(names[0])") -> list[str]:
    shown = TypedThrough()
    shown.remember("a.py", PREFIX, SUFFIX, [suggestion])
    return [one.text for one in shown.remaining("a.py", PREFIX + typed, suffix)]


def test_typing_takes_characters_off() -> None:
    suggestion = "len(names[0])"
    for number in range(len(suggestion)):
        assert left(suggestion[:number]) == [suggestion[number:]]


def test_deleting_brings_them_back() -> None:
    shown = TypedThrough()
    shown.remember("a.py", PREFIX, SUFFIX, ["total"])
    texts = [shown.remaining("a.py", PREFIX + typed, SUFFIX) for typed in ("to", "tox", "to", "")]
    assert [[one.text for one in found] for found in texts] == [["tal"], [], ["tal"], ["total"]]


def test_other_text_ends_it() -> None:
    assert left("max") == []


def test_nothing_is_left_of_what_was_typed_whole() -> None:
    assert left("len(names[0])") == []


def test_text_that_was_deleted_before_it_is_not_suggested_again() -> None:
    shown = TypedThrough()
    shown.remember("a.py", PREFIX, SUFFIX, ["total"])
    assert shown.remaining("a.py", PREFIX[:-2], SUFFIX) == []


@pytest.mark.parametrize(
    ("typed", "suffix", "rest"),
    [
        ("len(", ")", "names[0]"),
        ("len(names[", "])", "0"),
        ("len(names[", "]", "0"),  # only the inner bracket was closed
        ("len(names[0]", ")", None),  # what is left is there already
        ("len(names[0", "])", None),
        ("len(names[0])", "", None),
    ],
)
def test_brackets_that_the_editor_closes_are_not_suggested_again(
    typed: str, suffix: str, rest: str | None
) -> None:
    assert left(typed, suffix + SUFFIX) == ([] if rest is None else [rest])


def test_quotes_that_the_editor_closes_are_not_suggested_again() -> None:
    assert left('open("', '")' + SUFFIX, 'open("(a.txt")') == ["(a.txt"]


def test_the_rest_after_a_closed_bracket_comes_back_when_the_bracket_is_typed() -> None:
    suggestion = "len(names) + 1"
    assert left("len(", ")" + SUFFIX, suggestion) == ["names"]
    assert left("len(names)", SUFFIX, suggestion) == [" + 1"]


def test_text_after_the_cursor_that_was_not_there_ends_it() -> None:
    assert left("len(", "x)" + SUFFIX) == []


def test_lines_may_be_typed_through() -> None:
    assert left("sum(\n    x", SUFFIX, "sum(\n    xs,\n)") == ["s,\n)"]


def test_all_candidates_stay_that_begin_alike() -> None:
    shown = TypedThrough()
    shown.remember("a.py", PREFIX, SUFFIX, ["total", "table", "tail"])
    assert [one.suggestion for one in shown.remaining("a.py", PREFIX + "ta", SUFFIX)] == ["table", "tail"]


def test_the_latest_suggestion_counts() -> None:
    shown = TypedThrough()
    shown.remember("a.py", PREFIX, SUFFIX, ["total"])
    shown.remember("a.py", PREFIX + "to", SUFFIX, ["ken"])
    assert [one.text for one in shown.remaining("a.py", PREFIX + "to", SUFFIX)] == ["ken"]
    assert [one.text for one in shown.remaining("a.py", PREFIX + "tot", SUFFIX)] == ["al"]


def test_documents_are_apart() -> None:
    shown = TypedThrough()
    shown.remember("a.py", PREFIX, SUFFIX, ["total"])
    assert shown.remaining("b.py", PREFIX, SUFFIX) == []
    shown.drop("a.py")
    assert shown.remaining("a.py", PREFIX, SUFFIX) == []


def test_no_more_than_its_bound_is_remembered() -> None:
    shown = TypedThrough(max_suggestions=3)
    for number in range(10):
        shown.remember("a.py", f"x{number} = ", "\n", ["one", "two"])
    assert shown.remaining("a.py", "x8 = ", "\n") == []
    assert len(shown.remaining("a.py", "x9 = ", "\n")) == 2


def test_only_the_text_nearby_is_compared_and_kept() -> None:
    before, after = "a = 1\n" * 100_000, "b = 2\n" * 100_000
    shown = TypedThrough()
    shown.remember("a.py", before, after, ["total"])
    assert [one.text for one in shown.remaining("a.py", before + "t", after)] == ["otal"]
    assert shown.remaining("a.py", before[:-1] + "x" + "t", after) == []
