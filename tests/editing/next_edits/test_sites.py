"""Places that may need an edit, from the text and the user's edit alone."""

import pytest

from incoder.editing.next_edits.events import edit_events
from incoder.editing.next_edits.sites import MAX_SITES, candidate_sites, renamed


def sites(before: str, after: str) -> list[tuple[int, str, str | None, str]]:
    found = candidate_sites(after, edit_events(before, after))
    return [(site.line, after[site.start : site.end], site.new, site.reason) for site in found]


def test_a_name_that_was_replaced_is_looked_for_everywhere_else() -> None:
    before = "def mean(xs):\n    return sum(xs) / len(xs)\n"
    after = before.replace("mean(xs)", "mean(values)")
    assert sites(before, after) == [(2, "xs", "values", "name"), (2, "xs", "values", "name")]


def test_an_attribute_and_a_variable_of_one_name_are_two_names() -> None:
    before = "self.path = path\nopen(self.path)\nprint(path)\n"
    after = before.replace("self.path = path", "self.file = path")
    assert sites(before, after) == [(2, "path", "file", "name")]


def test_a_name_that_the_edit_kept_somewhere_was_not_renamed() -> None:
    assert renamed(edit_events("a = a\n", "b = a\n")) == {}


def test_words_that_only_contain_the_name_are_no_sites() -> None:
    before = "load = 1\nreload = load_all\n"
    assert sites(before, before.replace("load = 1", "read = 1")) == []


def test_a_keyword_is_no_name() -> None:
    before = "while x:\n    pass\nwhile y:\n    pass\n"
    assert all(reason != "name" for *_, reason in sites(before, before.replace("while x", "if x")))


def test_a_line_like_the_edited_one_gets_the_same_change() -> None:
    before = "log.info('reading', path)\nlog.info('writing', path)\n"
    after = before.replace("log.info('reading'", "log.debug('reading'")
    assert sites(before, after) == [(2, "info", "debug", "name")]
    before = "a = get(1, 0)\nb = get(2, 0)\n"
    assert sites(before, before.replace("get(1, 0)", "get(1, None)")) == [(2, "0", "None", "line")]


def test_the_rest_of_a_like_line_is_left_to_the_model() -> None:
    before = "a = get(1)\nb = get(2)\n"
    assert sites(before, before.replace("get(1)", "get(one)")) == [(2, "2", None, "line")]


def test_calls_of_a_function_whose_parameters_changed_are_sites() -> None:
    before = "def area(w, h):\n    return w * h\n\nprint(area(f(1), 2), x)\n"
    after = before.replace("area(w, h)", "area(w, h, unit)")
    assert sites(before, after) == [(4, "f(1), 2", None, "call")]


def test_the_edited_lines_are_no_sites() -> None:
    before = "x = a\ny = a\n"
    assert sites(before, "x = b\ny = b\n") == []


def test_there_are_at_most_eight_sites_the_nearest() -> None:
    before = "v = 0\n" + "print(v)\n" * 30
    found = sites(before, before.replace("v = 0", "w = 0"))
    assert [line for line, *_ in found] == list(range(2, 2 + MAX_SITES))


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_other_line_ends_are_lines_too(end: str) -> None:
    before = f"v = 0{end}é = 1{end}print(v){end}"
    assert sites(before, before.replace("v = 0", "w = 0")) == [(3, "v", "w", "name")]


def test_a_file_without_other_uses_has_no_sites() -> None:
    assert sites("", "x = 1\n") == []
    assert sites("x = 1\n", "") == []
