import pickle
import re
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import py7zr
import pytest

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.report import Report
from incoder.corpus.sources.listing import list_input_shards
from incoder.corpus.sources.stackoverflow import grouping, partitions
from incoder.corpus.sources.stackoverflow.dump import site_of
from incoder.corpus.sources.stackoverflow.html_text import html_text
from incoder.corpus.sources.stackoverflow.posts import tags_of
from incoder.corpus.text.bins import bin_of, lower_bounds
from incoder.document import Document
from incoder.errors import IncoderError

HEADER = '<?xml version="1.0" encoding="utf-8"?>\n'


def question(number: int, **fields: object) -> dict[str, object]:
    return {
        "Id": number,
        "PostTypeId": 1,
        "Score": 0,
        "Title": f"title {number}",
        "Body": f"<p>body {number}</p>",
        "Tags": "<python><list>",
        "OwnerUserId": 10,
        "ContentLicense": "CC BY-SA 4.0",
        **fields,
    }


def answer(number: int, parent: int, **fields: object) -> dict[str, object]:
    return {
        "Id": number,
        "PostTypeId": 2,
        "ParentId": parent,
        "Score": 0,
        "Body": f"<p>body {number}</p>",
        "OwnerDisplayName": "gone",
        "ContentLicense": "CC BY-SA 3.0",
        **fields,
    }


def comment(number: int, post: int, text: str) -> dict[str, object]:
    return {"Id": number, "PostId": post, "Score": 0, "Text": text, "UserId": 20}


def row(fields: Mapping[str, object]) -> str:
    escaped = {name: quoteattr(str(value), {"\n": "&#xA;", '"': "&quot;"}) for name, value in fields.items()}
    return "  <row " + " ".join(f"{name}={value}" for name, value in escaped.items()) + " />\n"


def xml(rows: list[Mapping[str, object]], root: str) -> str:
    return f"{HEADER}<{root}>\n{''.join(map(row, rows))}</{root}>\n"


# Answers come before their question and comments in any order, as in a dump.
POSTS: list[Mapping[str, object]] = [
    answer(5, 3, Score=2),
    question(1, Score=9),
    question(3, Tags="|c++|c#|", Title="a < b & c"),
    answer(2, 1, Score=-1),
    answer(4, 1, Score=8, Body="<p>Use:</p>\n\n<pre><code>x = 1\ny = 2\n</code></pre>\n"),
    {"Id": 6, "PostTypeId": 5, "Body": "a wiki"},
]
COMMENTS: list[Mapping[str, object]] = [
    comment(12, 4, "second @jane thanks"),
    comment(11, 4, "first"),
    comment(13, 1, "of the question"),
]


def write_dump(folder: Path, posts: list[Any] = POSTS, comments: list[Any] = COMMENTS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Posts.xml").write_text(xml(posts, "posts"), encoding="utf-8")
    (folder / "Comments.xml").write_text(xml(comments, "comments"), encoding="utf-8")
    return folder


def read(path: Path, scratch: Path | None = None, **source: Any) -> tuple[list[Document], Report]:
    settings = CorpusRecipe.model_validate(
        {"sources": [{"kind": "stackoverflow", "path": str(path), **source}], "seed": 1}
    )
    report = Report()
    shards = list_input_shards(settings, scratch or path.parent / "scratch", report.on_drop)
    documents = [
        document
        for shard in shards
        for document in pickle.loads(pickle.dumps(shard)).documents(settings, report.on_drop)
    ]
    return sorted(documents, key=lambda document: document.path), report


def reasons(report: Report) -> dict[str, int]:
    return {reason: count.num_files for reason, count in report.dropped.items()}


def without_attributes(text: str) -> str:
    return re.sub(r" (?:tags|dscore)=\S+", "", text)


def test_a_question_stands_with_its_comments_and_its_answers_with_theirs(tmp_path: Path) -> None:
    (first, second), report = read(write_dump(tmp_path / "coffee.stackexchange.com"))
    assert without_attributes(first.text) == (
        "<| q |>\ntitle 1\n\nbody 1\n<|/ q |>\n"
        "<| c |>\nof the question\n<|/ c |>\n"
        "<| a |>\nUse:\n\n<code>\nx = 1\ny = 2\n</code>\n<|/ a |>\n"
        "<| c |>\nfirst\n<|/ c |>\n"
        "<| c |>\nsecond @jane thanks\n<|/ c |>\n"
        "<| a |>\nbody 2\n<|/ a |>\n"
    )
    assert without_attributes(second.text).startswith(
        "<| q |>\na < b & c\n\nbody 3\n<|/ q |>\n<| a |>\nbody 5\n"
    )
    assert (first.source, first.path) == ("stackoverflow", "questions/1")
    assert first.project.startswith("coffee.stackexchange/")
    assert reasons(report) == {}


def test_authors_and_licences_travel_beside_the_text(tmp_path: Path) -> None:
    (first, _), _ = read(write_dump(tmp_path / "coffee.stackexchange.com"))
    assert first.licence == "CC-BY-SA-3.0 AND CC-BY-SA-4.0"
    assert first.metadata == {
        "site": "coffee.stackexchange",
        "authors": '[["q", 1, "10"], ["c", 13, "20"], ["a", 4, "gone"], ["c", 11, "20"], ["c", 12, "20"], '
        '["a", 2, "gone"]]',
    }
    assert "gone" not in first.text


def test_each_post_has_its_attributes_at_one_of_its_ends(tmp_path: Path) -> None:
    posts = [question(number, Score=number) for number in range(100)]
    documents, _ = read(write_dump(tmp_path / "site", posts, []), question_bins=[0, 50, 90])
    at_start = {"tags": 0, "dscore": 0}
    for document in documents:
        first, last = document.text.splitlines()[0], document.text.splitlines()[-1]
        number = int(document.path.rpartition("/")[2])
        score = 2 if number >= 90 else 1 if number >= 50 else 0
        assert (first + last).count(f"dscore={score}") == 1
        assert sum((first + last).count(f"tags={tags}") for tags in ("python,list", "list,python")) == 1
        for name in at_start:
            at_start[name] += name in first
    # 100 fair coins are within 30 and 70 but for one time in 25,000.
    assert all(30 <= count <= 70 for count in at_start.values())
    assert len({tuple(line.split()[1:-1]) for d in documents for line in d.text.splitlines()[:1]}) > 4


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("<python><django>", ("python", "django")),
        ("|python|django|", ("python", "django")),
        ("<c++>", ("c++",)),
        ("", ()),
    ],
)
def test_tags_come_in_two_styles(tags: str, expected: tuple[str, ...]) -> None:
    assert tags_of(tags) == expected


def test_bins_are_computed_from_the_dump_or_given(tmp_path: Path) -> None:
    counts = {0: 64, 1: 32, 3: 16, 4: 8, 9: 4, 30: 4}  # a half, a quarter, an eighth, …
    scores = [score for score, count in counts.items() for _ in range(count)]
    posts = [question(number, Score=score) for number, score in enumerate(scores)]
    documents, _ = read(write_dump(tmp_path / "site", posts, []))
    bins = {score: str(number) for number, score in enumerate(counts)}
    for document in documents:
        score = scores[int(document.path.rpartition("/")[2])]
        assert re.findall(r"dscore=(\d)", document.text) == [bins[score]]
    given, _ = read(tmp_path / "site", question_bins=[0, 100])
    assert all("dscore=0" in document.text for document in given)


def test_fabricated_posts_are_dropped_unless_asked_for(tmp_path: Path) -> None:
    invented = [
        question(1_000_000_001, OwnerUserId=-1),
        answer(1_000_000_010, 1_000_000_001, OwnerUserId=-1),
        question(7, OwnerUserId=-1),  # the site's own user wrote true posts, too
    ]
    path = write_dump(tmp_path / "site", [*POSTS, *invented])
    documents, report = read(path)
    assert [document.path for document in documents] == ["questions/1", "questions/3", "questions/7"]
    assert reasons(report) == {"fabricated post": 2}
    assert len(read(path, fabricated=True)[0]) == 4


def test_the_authors_choice_of_threads_is_a_setting(tmp_path: Path) -> None:
    posts = [*POSTS, question(8)]
    documents, report = read(
        write_dump(tmp_path / "site", posts), min_answers=1, min_answer_score=0, max_answers=1, max_comments=1
    )
    (first, _) = documents
    assert first.text.count("<| a ") == 1
    assert "first" in first.text
    assert "second" not in first.text
    assert reasons(report) == {"too few answers": 1}


def test_answers_and_comments_without_their_posts_are_counted(tmp_path: Path) -> None:
    posts, comments = [*POSTS, answer(9, 999)], [*COMMENTS, comment(14, 998, "lost"), comment(15, 998, "too")]
    _, report = read(write_dump(tmp_path / "site", posts, comments))
    assert reasons(report) == {"answers without their question": 1, "comments without their post": 1}


def test_mentions_at_the_start_of_comments_go_unless_asked_to_stay(tmp_path: Path) -> None:
    path = write_dump(tmp_path / "site", comments=[comment(1, 1, "@jane: see a@b and @x")])
    (first, _), _ = read(path)
    assert "<| c |>\nsee a@b and @x\n<|/ c |>" in first.text
    assert "@jane: see a@b and @x" in read(path, mentions=True)[0][0].text


LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE posts [
  <!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
  <!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
]>
<posts>
"""
EXTERNAL = """<?xml version="1.0"?>
<!DOCTYPE posts SYSTEM "http://127.0.0.1:9/evil.dtd" [<!ENTITY c SYSTEM "file:///etc/passwd">]>
<posts>
"""


@pytest.mark.parametrize("header", [LAUGHS, EXTERNAL])
def test_document_types_are_never_read(header: str, tmp_path: Path) -> None:
    path = write_dump(tmp_path / "site")
    bad = '  <row Id="20" PostTypeId="1" Score="0" Title="t" Body="&c;" />\n'
    (path / "Posts.xml").write_text(header + bad + row(question(1)) + "</posts>\n")
    documents, report = read(path)
    assert [document.path for document in documents] == ["questions/1"]
    assert "root:" not in documents[0].text
    assert reasons(report)["damaged row"] == 1


@pytest.mark.parametrize(
    "bad",
    [
        b'  <row Id="20" PostTypeId="1" Body="\xff" />\n',
        b'  <row Id="20" PostTypeId="1" Body="a\n',
        b'  <row Id="20" PostTypeId="1" Body="&#x1;" />\n',
        b'  <row Id="x" PostTypeId="1" Body="a" />\n',
        b'  <row PostTypeId="2" Body="a" Id="20" />\n',
        b'  <row Id="20" PostTypeId="1" Body="a" /><!DOCTYPE x>\n',
        b'  <row Id="20" PostTypeId="1" Id="21" />\n',
    ],
)
def test_a_damaged_row_costs_that_row_alone(bad: bytes, tmp_path: Path) -> None:
    path = write_dump(tmp_path / "site")
    lines = (path / "Posts.xml").read_bytes().splitlines(keepends=True)
    (path / "Posts.xml").write_bytes(b"".join([*lines[:3], bad, *lines[3:]]))
    documents, report = read(path)
    assert [document.path for document in documents] == ["questions/1", "questions/3"]
    assert reasons(report) == {"damaged row": 1}


def test_a_row_of_any_length_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incoder.corpus.sources.stackoverflow.dump._MAX_ROW_BYTES", 1000)
    documents, report = read(write_dump(tmp_path / "site", [*POSTS, question(20, Body="x" * 2000)]))
    assert len(documents) == 2
    assert reasons(report) == {"too large": 1}


def pack(path: Path, names: dict[str, Path]) -> None:
    with py7zr.SevenZipFile(path, "w") as archive:
        for name, source in names.items():
            archive.write(source, name)


def test_dumps_inside_7z_are_the_same(tmp_path: Path) -> None:
    plain = write_dump(tmp_path / "coffee.stackexchange.com")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    tables = {name: plain / name for name in ("Posts.xml", "Comments.xml")}
    pack(tmp_path / "one" / "coffee.stackexchange.com.7z", {**tables, "Users.xml": plain / "Posts.xml"})
    for name, source in tables.items():
        pack(tmp_path / "two" / f"coffee.stackexchange.com-{name.removesuffix('.xml')}.7z", {name: source})
    expected, _ = read(plain)
    assert read(tmp_path / "one", tmp_path / "s1")[0] == expected
    assert read(tmp_path / "one" / "coffee.stackexchange.com.7z", tmp_path / "s2")[0] == expected
    assert read(tmp_path / "two", tmp_path / "s3")[0] == expected


def test_a_damaged_7z_gives_what_comes_before(tmp_path: Path) -> None:
    import random

    noise = random.Random(0)
    posts = [question(number, Body=noise.randbytes(500).hex()) for number in range(2000)]
    plain = write_dump(tmp_path / "site", posts, [])
    pack(tmp_path / "site.7z", {"Posts.xml": plain / "Posts.xml"})
    content = bytearray((tmp_path / "site.7z").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 1000] = bytes(1000)
    (tmp_path / "site.7z").write_bytes(content)
    _, report = read(tmp_path / "site.7z")
    assert reasons(report)["damaged dump"] == 1


def test_one_damaged_7z_does_not_cost_the_others(tmp_path: Path) -> None:
    plain = write_dump(tmp_path / "plain")
    (tmp_path / "dumps").mkdir()
    for site in ("beer", "coffee"):
        pack(tmp_path / "dumps" / f"{site}.7z", {"Posts.xml": plain / "Posts.xml"})
    whole = (tmp_path / "dumps" / "coffee.7z").read_bytes()
    (tmp_path / "dumps" / "coffee.7z").write_bytes(whole[: len(whole) // 2])
    documents, report = read(tmp_path / "dumps")
    assert {document.project.partition("/")[0] for document in documents} == {"beer"}
    assert reasons(report) == {"damaged dump": 1}


def test_whatever_a_damaged_7z_raises_ends_its_table_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(tmp_path / "site.7z", {"Posts.xml": write_dump(tmp_path / "site") / "Posts.xml"})

    def extract(*_: object, **__: object) -> None:
        raise AttributeError

    monkeypatch.setattr(py7zr.SevenZipFile, "extract", extract)
    documents, report = read(tmp_path / "site.7z")
    assert documents == []
    assert reasons(report) == {"damaged dump": 1}


def test_the_result_does_not_depend_on_the_number_of_partitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = [question(n) for n in range(1, 50)] + [answer(n + 100, 1 + n % 49) for n in range(200)]
    comments = [comment(n, 1 + n % 250, f"comment {n}") for n in range(500)]
    path = write_dump(tmp_path / "site", posts, comments)
    expected, _ = read(path, tmp_path / "one")
    monkeypatch.setattr(grouping, "_PARTITION_BYTES", 1000)
    monkeypatch.setattr(partitions, "_WAITING_BYTES", 500)
    found, _ = read(path, tmp_path / "many")
    assert len(expected) == 49
    assert found == expected


def test_memory_stays_flat_as_a_dump_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "_PARTITION_BYTES", 50_000)
    monkeypatch.setattr(partitions, "_WAITING_BYTES", 50_000)
    monkeypatch.setattr("incoder.corpus.sources.stackoverflow.dump._BATCH_BYTES", 50_000)
    peaks = []
    for factor in (1, 8):
        posts = [question(number, Body="word " * 100) for number in range(300 * factor)]
        path = write_dump(tmp_path / f"site{factor}", posts, [])
        tracemalloc.start()
        settings = CorpusRecipe.model_validate({"sources": [{"kind": "stackoverflow", "path": str(path)}]})
        num_documents = 0
        for shard in list_input_shards(settings, tmp_path / f"scratch{factor}", Report().on_drop):
            num_documents += sum(1 for _ in shard.documents(settings, Report().on_drop))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert num_documents == 300 * factor
    assert peaks[1] < 1.5 * peaks[0]


def test_a_finished_grouping_is_used_again_and_an_unfinished_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dump(tmp_path / "site", [*POSTS, question(1_000_000_001, OwnerUserId=-1)])
    calls = []
    group = grouping._group

    def counting(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            (arguments[2] / "posts").mkdir()
            raise KeyboardInterrupt
        group(*arguments)

    monkeypatch.setattr(grouping, "_group", counting)
    with pytest.raises(KeyboardInterrupt):
        read(path)
    first, second = read(path), read(path)
    assert len(calls) == 2
    assert first[0] == second[0]
    assert reasons(first[1]) == reasons(second[1]) == {"fabricated post": 1}
    write_dump(path, POSTS[:2])
    assert len(read(path)[0]) == 1


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a &lt; b</p>\n\n<p>c</p>\n", "a < b\n\nc"),
        ("<p>call <code>f(x)</code> now</p>", "call f(x) now"),
        ("<pre><code>x = 1\nif x &lt; 2:\n    y\n</code></pre>", "<code>\nx = 1\nif x < 2:\n    y\n</code>"),
        ('<p><a href="http://x.y">link</a> <strong>bold</strong></p>', "link bold"),
        ("<ul>\n<li>one</li>\n<li>two</li>\n</ul>", "one\ntwo"),
        ("<p>a</p>\n\n\n\n\n<p>b</p>", "a\n\nb"),
        ("<p>unclosed <b>tag", "unclosed tag"),
        ("<pre><code>one line\n</code></pre>", "one line"),
        ("", ""),
    ],
)
def test_html_becomes_text_with_code_in_its_tag(html: str, text: str) -> None:
    assert html_text(html) == text


@pytest.mark.parametrize(
    ("name", "site"),
    [
        ("stackoverflow.com-Posts", "stackoverflow"),
        ("coffee.stackexchange.com", "coffee.stackexchange"),
        ("site", "site"),
    ],
)
def test_sites_are_named_by_their_archives(name: str, site: str) -> None:
    assert site_of(name) == site


def test_bins_follow_the_percentiles() -> None:
    assert lower_bounds(dict.fromkeys(range(64), 1)) == (0, 32, 48, 56, 60, 62)
    assert [bin_of(value, (0, 32, 48, 56, 60, 62)) for value in (-5, 0, 31, 32, 55, 60, 62, 9999)] == [
        0, 0, 0, 1, 2, 4, 5, 5,
    ]  # fmt: skip


def test_what_is_as_common_as_the_median_stays_in_the_lowest_bin() -> None:
    bounds = lower_bounds({0: 90, 1: 10})
    assert bounds == (0, 0, 0, 0, 1, 1)
    assert [bin_of(value, bounds) for value in (0, 1)] == [0, 4]
    assert lower_bounds({}) == ()
    assert bin_of(3, ()) == 0


def test_what_is_no_dump_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="must be a Stack Exchange dump"):
        read(tmp_path)
    (tmp_path / "a.7z").write_bytes(b"junk")
    with pytest.raises(IncoderError, match="not a 7z archive"):
        read(tmp_path / "a.7z")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("@MarkC.Wallace so it is", "so it is"),
        ("@a, @b: both", "both"),
        ("@angular/core has it", "@angular/core has it"),
        ("use @property, `@Test` or @media", "use @property, `@Test` or @media"),
        ("@jane", "@jane"),
    ],
)
def test_only_users_at_the_start_of_a_comment_are_mentions(text: str, kept: str, tmp_path: Path) -> None:
    path = write_dump(tmp_path / "site", comments=[comment(1, 1, text)])
    assert f"<| c |>\n{kept}\n<|/ c |>" in read(path)[0][0].text


def test_words_with_an_at_stay_in_posts() -> None:
    html = "<p>@Test</p><pre><code>@property\ndef x(self): ...\n</code></pre><p>SELECT @var</p>"
    assert html_text(html) == "@Test\n<code>\n@property\ndef x(self): ...\n</code>\nSELECT @var"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("one<br>two", "one\ntwo"),
        ("one<br>\ntwo<br/>", "one\ntwo"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><th>c</th><td>d</td></tr></table><p>e</p>", "a b\nc d\ne"),
        ("<ul><li>a</li><li>b</li></ul><p>c</p>", "a\nb\nc"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("<p>a</p>\n\n<p>b</p>", "a\n\nb"),
        ("a<b>b</b>c", "abc"),
    ],
)
def test_no_two_words_are_joined(html: str, text: str) -> None:
    assert html_text(html) == text
