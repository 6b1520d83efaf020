"""The part of a file that the model reads."""

from incoder.editing.next_edits.events import edit_events
from incoder.editing.next_edits.excerpt import Excerpt, excerpt
from incoder.editing.next_edits.sites import candidate_sites


def excerpt_of(before: str, after: str, max_characters: int = 1600) -> Excerpt:
    events = edit_events(before, after)
    return excerpt(after, events, candidate_sites(after, events), max_characters)


def filled(parts: tuple[str, ...], part: Excerpt, text: str) -> str:
    holes = [text[site.start : site.end] for site in part.sites]
    return "".join(piece for pair in zip(parts, [*holes, ""], strict=True) for piece in pair)


def test_a_short_file_is_read_whole_before_and_after_the_edit() -> None:
    before = "v = 0\nprint(v)\nprint(v, v)\n"
    after = before.replace("v = 0", "w = 0")
    part = excerpt_of(before, after)
    assert part.after == ("w = 0\nprint(", ")\nprint(", ", ", ")\n")
    assert filled(part.after, part, after) == after
    assert filled(part.before, part, after) == before


def test_inserted_and_deleted_lines_are_in_one_version_only() -> None:
    before = "a = old\nb = 1\nuse(old)\nc = 2\n"
    after = "a = new\nuse(old)\nc = 2\nd = 3\n"
    part = excerpt_of(before, after)
    assert filled(part.after, part, after) == after
    assert filled(part.before, part, after) == before


def test_lines_far_from_edits_and_sites_are_left_out() -> None:
    before = "v = 0\n" + "pass\n" * 50 + "print(v)\n" + "pass\n" * 50
    after = before.replace("v = 0", "w = 0")
    part = excerpt_of(before, after)
    assert filled(part.after, part, after) == ("w = 0\npass\npass\npass\npass\nprint(v)\npass\npass\n")


def test_sites_that_do_not_fit_are_left_out_the_farthest_first() -> None:
    before = "v = 0\n" + ("pass\n" * 50 + "print(v)\n") * 3
    part = excerpt_of(before, before.replace("v = 0", "w = 0"), max_characters=60)
    assert [site.line for site in part.sites] == [52]


def test_an_empty_file_has_an_excerpt_without_sites() -> None:
    assert excerpt_of("x = 1\n", "").sites == ()
