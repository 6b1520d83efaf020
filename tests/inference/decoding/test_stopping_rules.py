from typing import get_args

import hypothesis.strategies as st
import pytest
from hypothesis import given

from incoder.inference.decoding.stopping_rules.stopping import StoppingRules
from incoder.inference.syntax.languages import syntax_of
from incoder.request_settings import ALL_STOPPING_RULES, LinesWanted, StoppingRule

BLOCK = b"def f(xs):\n    total = 0\n"


ONLY_LINES: tuple[StoppingRule, ...] = ("lines",)
ONLY_BLANKS: tuple[StoppingRule, ...] = ("blanks",)
ONLY_OPENERS: tuple[StoppingRule, ...] = ("openers",)
ONLY_ENDS: tuple[StoppingRule, ...] = ("ends",)


def kept(prefix: bytes, infill: bytes, suffix: bytes, *rules: StoppingRule) -> bytes:
    """Return the rest of an infill that comes byte by byte, as from a model, and ends where it is cut."""
    stopping = StoppingRules(prefix, suffix, rules or ALL_STOPPING_RULES)
    for end in range(1, len(infill) + 1):
        place = stopping.cut(infill[:end])
        if place is not None:
            return infill[:place]
    return infill


@pytest.mark.parametrize(
    ("prefix", "infill", "suffix", "left"),
    [
        (BLOCK, b"    total += 1\n    return total / n\n", b"    return total / n\n", b"    total += 1\n"),
        (BLOCK + b"    x = ", b"1\n    return total / n\n    y\n", b"\n    return total / n\n", b"1\n"),
        (BLOCK, b"    i += 1\n    i += 1\n    j\n", b"    i += 1\n    j\n", b"    i += 1\n"),
        (BLOCK, b"    return total / n + 1\n", b"    return total / n\n", None),
        (BLOCK, b"        )\n        )\n", b"        )\n", None),
        (BLOCK, b"    i += 1\n    k\n", b"    i += 1\n    j\n", None),
        (BLOCK, b"    a\n\n    return total / n\n", b"\n\n    return total / n", b"    a\n\n"),
        (BLOCK, b"anything\n", b"", None),
        (BLOCK + b"    with open(a) as ", b"f:\n        y\n", b":\n        y\n", b"f"),
        (BLOCK + b"    x", b" = [1,\n 2]\n", b" = [1,\n 2]\n", b""),
        (BLOCK + b"    if ", b"a:\n        b()\n    if c", b":\n        d()\n", b"a"),
        (BLOCK + b"    x = su", b"m(xs)\n    return len(x", b"s)\n", b"m(x"),
    ],
)
def test_what_follows_the_hole_is_not_written_again(
    prefix: bytes, infill: bytes, suffix: bytes, left: bytes | None
) -> None:
    assert kept(prefix, infill, suffix, "repetition", "rest") == (infill if left is None else left)


@pytest.mark.parametrize(
    ("prefix", "infill", "suffix", "left"),
    [
        (b"with open(a) as ", b"f:", b":\n    y\n", b"f"),
        (b"with open(a) as ", b"f:\n", b":\n    y\n", b"f"),
        (b"x", b" = 1  # one", b"  # one\n", b" = 1"),
        (b"x = [", b"a, b]", b", b]\n", b"a"),
        (b"n = 1", b"0", b"0\n", None),
        (b"f(g(", b"x)", b")\n", None),
        (b"[", b"a,", b",\n", b"a"),
        (BLOCK, b"    a = 1\n    return total / n", b"\n    return total / n\n", b"    a = 1"),
        (BLOCK, b"    a = 1\n    return total", b" / n\n", None),
        (BLOCK + b"    if a:\n        ", b"b()\n    el", b"se:\n    d()\n", None),
    ],
)
def test_the_end_of_an_infill_is_the_end_of_a_line_where_one_follows(
    prefix: bytes, infill: bytes, suffix: bytes, left: bytes | None
) -> None:
    assert infill[: StoppingRules(prefix, suffix, ALL_STOPPING_RULES).cut_at_end(infill)] == (
        infill if left is None else left
    )


LINE = b"    total = total\n"


@pytest.mark.parametrize(
    ("prefix", "infill", "left"),
    [
        (BLOCK, LINE * 4, LINE),
        (BLOCK, b"\n" + LINE + b"\n" + LINE + LINE, b"\n" + LINE),
        (BLOCK + LINE, LINE * 2, b""),
        (BLOCK + LINE * 3, LINE * 2, b""),
        (BLOCK + b"    total", b" = total\n" + LINE * 2, b" = total\n"),
        (BLOCK + LINE + b"    total", b" = total\n" + LINE * 2, b" = total\n"),
        (BLOCK, (LINE + b"    a = 1\n") * 3, LINE + b"    a = 1\n"),
        (
            BLOCK,
            b"    b = 2\n" + (LINE * 2 + b"    a\n    b\n") * 3,
            b"    b = 2\n" + LINE * 2 + b"    a\n    b\n",
        ),
        (BLOCK, LINE * 2, None),
        (BLOCK, (LINE * 2 + b"    a = 1\n") * 2, None),
        (BLOCK + LINE, LINE + b"    a = 1\n", b""),
        (BLOCK + LINE + b"\n", LINE, None),
        (BLOCK + LINE * 3 + b"\n", LINE, None),
        (BLOCK + b"    )\n", b"    )\n", None),
        (BLOCK, b"    )\n" * 5, None),
        (b"board = [\n", b"    [0, 0, 0],\n" * 3 + b"]\n", None),
        (BLOCK, (LINE + b"a\nb\nc\nd\n") * 3, None),
    ],
)
def test_the_same_lines_three_times_in_a_row_are_kept_once(
    prefix: bytes, infill: bytes, left: bytes | None
) -> None:
    assert kept(prefix, infill, b"", "loops") == (infill if left is None else left)


@pytest.mark.parametrize(
    ("prefix", "infill", "suffix", "left"),
    [
        (BLOCK, b"    return 1\n\n\ndef g():\n", b"\n\nprint()\n", b"    return 1\n\n\n"),
        (BLOCK + b"    if xs:", b"\n        a()\n    b()\n", b"\n    c()\n", None),  # b() may be missing
        (BLOCK + b"    if xs:\n        ", b"a()\n    b()\n", b"\n    c()\n", b"a()\n"),
        (BLOCK + b"    if xs:\n        ", b"a()\n    else:\n        b()\n", b"\n    c()\n", None),
        (BLOCK + b"    if xs:\n        ", b"a(\n            1\n    )\n", b"\n    c()\n", None),
        (BLOCK + b"\tif xs:\n\t\t", b"a()\n\tb()\n", b"\n\tc()\n", b"a()\n"),
        (b"", b"import os\nx = 1\n", b"y\n", None),
        (BLOCK + b"    if xs:\n        ", b"a()\n    b()\n", b"\nc()\n", None),  # nothing says where it ends
        (BLOCK, b"\n    a()\nb()\n", b"c()\n", b"\n    a()\n"),
    ],
)
def test_an_infill_ends_with_the_block_that_its_hole_is_in(
    prefix: bytes, infill: bytes, suffix: bytes, left: bytes | None
) -> None:
    assert kept(prefix, infill, suffix, "indentation") == (infill if left is None else left)


@pytest.mark.parametrize(
    ("infill", "suffix", "left"),
    [
        (b"a, b)", b")\n", b"a, b"),
        (b"a, f(b), c) + 1", b") * 2\n", b"a, f(b), c"),
        (b"a, b)", b"\n", None),
        (b"a, b]", b")\n", None),
        (b"')', b", b")\n", None),
        (b"a # )", b"\n)\n", None),
        (b"'it', \"don't)\"", b")\n", None),
        (b"[1, {2: (3)}]", b")\n", None),
    ],
)
def test_a_bracket_that_is_closed_after_the_hole_is_not_closed_in_it(
    infill: bytes, suffix: bytes, left: bytes | None
) -> None:
    assert kept(b"f(", infill, suffix, "brackets") == (infill if left is None else left)


@pytest.mark.parametrize(
    ("prefix", "suffix", "is_cut"),
    [
        (b"def f(x):\n    print(", b'\n\ndef g():\n    """Steps:\n\n    1) do this\n    """\n', False),
        (b"f(", b"\n// 1) first\n", False),
        (b"f(", b', """\n:-] or 1]\n""", 2)\n', True),
        (b"f(", b"\n\n    , 2)\n", True),
        (b"    f(", b"\n    )\n", True),
        (b"f(\n    a,\n    ", b"\n    c,\n)\n", True),
        (b"f(\n    a,\n", b"\n    c,\n)\n", True),
        (b"f(a,\n  g(\n    1),\n  ", b"\n  c)\n", True),
        (b"def g():\n    f(a,\n    ", b"\nh = 1)\n", False),
        (b"if x:\n    f(", b"\n    # 1) no\n    2)\n", False),
    ],
)
def test_brackets_after_the_hole_count_within_its_statement(
    prefix: bytes, suffix: bytes, is_cut: bool
) -> None:
    assert kept(prefix, b"x)", suffix, "brackets") == (b"x" if is_cut else b"x)")


@pytest.mark.parametrize("quotes", [b'"""', b"'''"])
def test_brackets_in_long_strings_are_text(quotes: bytes) -> None:
    infill = quotes + b"\na) \\" + quotes + b" it's \\)\n" + quotes + b", b"
    assert kept(b"f(", infill + b")", b")\n", "brackets") == infill


def test_each_rule_is_off_unless_it_is_named() -> None:
    infill = b"    return total / n\nx)\n"
    rules = StoppingRules(BLOCK, b"    return total / n)\n", ())
    assert rules.cut(infill) is None
    assert rules.num_committed(infill) == len(infill)


def test_the_first_line_of_a_block_begins_with_its_indentation() -> None:
    def start(prefix: bytes, suffix: bytes = b"\n", path: str = "a.py") -> bytes:
        return StoppingRules(prefix, suffix, ALL_STOPPING_RULES, syntax_of(path)).start

    method = b"class A:\n    def f(self):  # does nothing\n"
    assert start(method) == b"        "
    assert start(method + b"    ") == b"    "
    assert start(method, b"    def g(self):\n        pass\n") == b"        "
    assert start(b"if a:\n\tb()\nif c:\n") == b"\t"
    assert start(b"if a:\n  b()\nif c:\n") == b"  "
    assert start(method, b"        return 1\n") == b""  # the block is there
    assert start(method + b"        ") == b""
    assert start(b'def f():\n    """Args:\n') == b""
    assert start(b"x = f(a[1:\n") == b""
    assert start(b"case 1:\n", path="a.c") == b""
    assert StoppingRules(method, b"\n", ONLY_LINES).start == b""


@pytest.mark.parametrize(
    ("prefix", "written", "left"),
    [
        (b"x = 1\n", b"y = 2\n<|/ file filename=a.py |>", b"y = 2\n"),
        (b"x = 1", b"\n<| file ext=.py |>\n", b"\n"),
        (b"x = ", b"<| file", b"<| file"),
        (b"x = 1\n", b"y = a <| b\n  <| c\n", b"y = a <| b\n  <| c\n"),
    ],
)
def test_tags_of_training_documents_end_an_infill(prefix: bytes, written: bytes, left: bytes) -> None:
    rules = StoppingRules(prefix, b"", (), allows_tags=False)
    places = [rules.cut(written[:end]) for end in range(len(written) + 1)]
    assert written[: next((place for place in places if place is not None), None)] == left
    assert StoppingRules(prefix, b"", ()).cut(written) is None


def test_an_infill_cannot_begin_with_a_tag() -> None:
    rules = StoppingRules(b"", b"", (), allows_tags=False)
    assert [rules.forbidden_next(text) for text in (b"", b"<", b"\n", b"\n<", b"  ")] == [
        *(b"<|", b"|", b"<|", b"|", b"")
    ]
    assert [rules.forbidden_next(text) for text in (b"<b", b"x", b"x\n", b" <")] == [None, None, None, None]
    assert StoppingRules(b"x = ", b"", (), allows_tags=False).forbidden_next(b"") is None
    assert StoppingRules(b"", b"", ()).forbidden_next(b"") is None


def test_the_syntax_before_a_later_hole_is_read_once() -> None:
    before, between = b'x = """\n' + b"a\n" * 9, b"b\n"
    first = StoppingRules(before, b"", ALL_STOPPING_RULES, syntax_of("a.py"))
    second = StoppingRules(
        before + b"c" + between, b'"""\n', ALL_STOPPING_RULES, syntax_of("a.py"), first.place
    )
    assert first.place.offset == len(b'x = """')
    assert second.cut(b'd"""') == 1


def test_a_long_text_without_marks_is_not_read_again() -> None:
    data = b'x = "' + b"a" * 100_000
    for text in (data, data + b"\\"):
        rules = StoppingRules(
            text, b'"\n', ALL_STOPPING_RULES, syntax_of("a.py"), StoppingRules(data[:9], b"", ()).place
        )
        assert rules.place.offset > 99_000
        assert rules.cut(b'\\"b"') == (3 if text == data else 1)


def test_a_docstring_of_a_long_file_ends_with_its_line() -> None:
    functions = b'def f():\n    """Doc.\n\n    More.\n    """\n' * 2000
    rules = StoppingRules(
        functions + b'def g():\n    """', b'"""\n\n\n' + functions, ALL_STOPPING_RULES, syntax_of("a.py")
    )
    assert rules.cut(b'Do it."""') == len(b"Do it.")


LINES = st.lists(
    st.sampled_from(
        [
            *(
                b'"""a)',
                b"    a = 1",
                b"        b(",
                b"c)",
                b"else:",
                b"",
                b"    return a + b",
                b"    end",
                b"/*",
            ),
            *(
                b"f'{a",
                b"'b'}",
                b"  case 1:",
                b'"a\\"',
                b"// it's",
                b"{",
                b"}",
                b"`${a}",
                b"<|",
                b"done; x",
                b"*/;",
            ),
        ]
    ),
    max_size=5,
)
TEXTS = LINES.map(b"\n".join)
PATHS = st.sampled_from(["a.py", "a.js", "a.c", "a.rb", "a.sh", "a.html", "a.sql", "a"])


@given(path=PATHS, prefix=TEXTS, pieces=st.lists(TEXTS, max_size=4), suffix=TEXTS, data=st.data())
def test_what_is_committed_is_never_cut_and_tokens_do_not_matter(
    path: str, prefix: bytes, pieces: list[bytes], suffix: bytes, data: st.DataObject
) -> None:
    lines: LinesWanted | None = data.draw(st.sampled_from([None, *get_args(LinesWanted)]))
    names = data.draw(st.sampled_from([ALL_STOPPING_RULES, ()]))
    rules = StoppingRules(prefix, suffix, names, syntax_of(path), lines=lines, allows_tags=False)
    written = b"".join(pieces)

    def left(ends: list[int]) -> bytes:
        committed = 0
        for end in ends:
            infill = written[:end]
            place = rules.cut(infill)
            if place is not None:
                assert committed <= place
                return infill[:place]
            committed = max(committed, rules.num_committed(infill))
            assert committed <= len(infill[: rules.cut_at_end(infill)])
        return written[: rules.cut_at_end(written)]

    every = list(range(1, len(written) + 1))
    some = data.draw(st.lists(st.sampled_from(every), unique=True).map(sorted)) if every else []
    assert left(every) == left([*some, *every[-1:]])


@pytest.mark.parametrize(
    ("prefix", "suffix", "is_right"),
    [
        (b"f(", b")\n", True),
        (b"f(a, ", b")\n", False),
        (b"f(", b", b)\n", False),
        (b"x = ", b"\n", False),
        (b"x = ", b" + 1\n", False),
        (b"x = y", b"\n", True),
        (b"return ", b"\n", False),
        (b"for ", b" in x:\n", False),
        (b"a.", b"(1)\n", False),
        (b"a = 1\n", b"\nb = 2\n", True),
        (b"def f():\n", b"\nx = 1\n", False),
        (b"def f():\n", b"\n    return 1\n", True),
        (b"x = 1\n", b"    y = 2\n", False),
        (b'def f():\n    """', b'"""\n', False),
        (b'def f():\n    """Do it.', b'"""\n', True),
        (b"# ", b"\nx = 1\n", False),
        (b'x = "', b'"\n', True),
        (b"x[", b":2]\n", True),
        (b"", b"", False),
    ],
)
def test_an_infill_may_be_blank_only_where_nothing_is_missing(
    prefix: bytes, suffix: bytes, is_right: bool
) -> None:
    rules = StoppingRules(prefix, suffix, ONLY_BLANKS, syntax_of("a.py"))
    assert rules.permits_end(b"") is is_right
    assert rules.permits_end(b"x")
    assert StoppingRules(prefix, suffix, (), syntax_of("a.py")).permits_end(b"")


@pytest.mark.parametrize(
    ("path", "prefix", "suffix", "infill", "is_enough"),
    [
        ("a.py", b"x = 1\n", b"    y = 2\n", b"if x:\n", True),
        ("a.py", b"x = 1\n", b"    y = 2\n", b"x += 1\n", False),
        ("a.py", b"x = 1\n", b"    y = 2\n", b"return not (x):\n", False),
        ("a.py", b"x = 1\n", b"    y = 2\n", b"match x:\n", True),
        ("a.py", b"for x in y:\n", b"    y = 2\n", b"", True),
        ("a.py", b"for x in y:\n", b"        y = 2\n", b"    x = 1\n", False),
        ("a.py", b"x = 1\n", b"    2,\n)\n", b"y = (\n", True),
        ("a.js", b"a();\n", b"    d();\n}\n", b"if (b) {\n", True),
        ("a.js", b"a();\n", b"    d();\n}\n", b"b();\n", False),
        ("a.js", b"f {\n", b"    d();\n}\n", b"b();\n", True),
        ("a.yaml", b"a: 1\n", b"    b: 2\n", b"c: 3\n", True),
        ("a.py", b"if x:\n    y()\n", b"    z()\n", b"    x = 1\n", True),
        ("a.py", b"if x:\n    y()\n", b"    z()\n", b"x = 1\n", False),
        ("a.py", b"if x:\n    y()\n", b"    z()\n", b"", True),
        ("a.py", b"x = 1\n", b"    y = 2\n", b"", False),
        ("a.py", b"if x:\n    y()\n", b"    z()\n", b"else:\n", True),
        ("a.py", b"if x:\n    y()\n", b"    z()\n", b"x = 1\nif x:\n", True),
        ("a.py", b"if x:\n    y()\n", b"    z()\n", b"# why\n", True),
        ("a.py", b"if x:\n    y()\n", b"    # why\n", b"x = 1\n", True),
        ("a.py", b"f(\n    y,\n", b"    z,\n)\n", b"x,\n", True),
    ],
)
def test_an_infill_before_a_deeper_line_opens_a_block(
    path: str, prefix: bytes, suffix: bytes, infill: bytes, is_enough: bool
) -> None:
    assert (
        StoppingRules(prefix, suffix, ONLY_OPENERS, syntax_of(path)).asks_for_another(infill) is not is_enough
    )
    assert not StoppingRules(prefix, suffix, (), syntax_of(path)).asks_for_another(infill)


def test_an_infill_that_a_limit_ended_is_written_again_if_it_cannot_become_an_opener() -> None:
    rules = StoppingRules(b"x = 1\n", b"    y = 2\n", ONLY_OPENERS, syntax_of("a.py"))
    assert not rules.asks_for_another(b"if x and x", is_whole=False)
    assert rules.asks_for_another(b"if x and x")
    assert rules.asks_for_another(b"x = x * x * x", is_whole=False)


def test_a_dedented_infill_is_shown_when_it_is_sure_to_stay() -> None:
    rules = StoppingRules(b"if x:\n    y()\n", b"    z()\n", ONLY_OPENERS, syntax_of("a.py"))
    assert rules.num_committed(b"x = 1") == 0
    assert rules.num_committed(b"    x = 1") == len(b"    x = 1")


@pytest.mark.parametrize(
    ("prefix", "suffix", "written", "texts"),
    [
        (b"x = ", b")\n", b"ab + c\nd", [b"ab", b"ab ", b"ab + c"]),
        (b"x = a", b"c)\n", b"bd", [b"b", b"bd"]),
        (b"x = ", b" + 1\n", "é".encode() + b"\xc3", ["é".encode()]),
        (b"x = ", b"\n", b"ab + c", []),
        (b'x = "', b'"\n', b'ab" + c', [b"ab"]),
    ],
)
def test_an_infill_inside_a_line_may_end_between_words_or_inside_one_that_goes_on(
    prefix: bytes, suffix: bytes, written: bytes, texts: list[bytes]
) -> None:
    rules = StoppingRules(prefix, suffix, ALL_STOPPING_RULES, syntax_of("a.py"))
    assert [written[:place] for place in rules.places_to_end(written)] == texts
    without = [rule for rule in ALL_STOPPING_RULES if rule != "ends"]
    assert not StoppingRules(prefix, suffix, without, syntax_of("a.py")).places_to_end(written)


@pytest.mark.parametrize(
    ("prefix", "suffix", "start", "is_permitted"),
    [
        (b"f(", b")\n", b"\n    a", False),
        (b"f(", b")\n", b"  \n    a", False),
        (b"f(", b")\n", b"a,\n  b", True),
        (b"x = ", b" + 1\n", b"\n", False),
        (b"x = ", b"\n", b"\n", True),
        (b"f(", b"\n    a)\n", b"\n    b,", True),
        (b"if x: ", b"y\n", b"\n    ", True),
        (b"f() { ", b" }\n", b"\n    x", True),
        (b"print(x)", b"(y)\n", b"\nprint", True),
        (b"print(x)", b"\n", b"\nprint", True),
        (b'"""', b'"""\n', b"\n    One", True),
    ],
)
def test_an_infill_inside_a_line_that_hardly_ends_there_does_not_begin_with_a_newline(
    prefix: bytes, suffix: bytes, start: bytes, is_permitted: bool
) -> None:
    rules = StoppingRules(prefix, suffix, ONLY_LINES, syntax_of("a.py", ""))
    assert rules.permits(b"", start) == is_permitted


@pytest.mark.parametrize(
    ("prefix", "suffix", "left"),
    [
        (b'"""Return ', b' xs."""\n', b"one"),
        (b'"""', b'"""\n', b"one\n    two"),
    ],
)
def test_where_a_text_of_several_lines_goes_on_after_the_hole_a_model_that_hardly_ends_writes_one_line(
    prefix: bytes, suffix: bytes, left: bytes
) -> None:
    rules = StoppingRules(prefix, suffix, ONLY_LINES, syntax_of("a.py", ""), hardly_ends=True)
    infill = b"one\n    two"
    assert infill[: rules.cut(infill)] == left
    others = StoppingRules(prefix, suffix, ONLY_LINES, syntax_of("a.py", ""))
    assert others.cut(infill) is None


@pytest.mark.parametrize(
    ("prefix", "infill", "suffix", "left"),
    [
        (b"def f() -> by", b"tes: ...\n", b".\n", b"tes: .."),
        (b"a = f(", b"g(x))\n", b")\n", b"g(x)"),
        (b"x = ", b"y  + 1\n", b" + 1\n", b"y"),
    ],
)
def test_an_infill_after_which_the_rest_of_the_line_was_written_keeps_its_own_end(
    prefix: bytes, infill: bytes, suffix: bytes, left: bytes
) -> None:
    assert kept(prefix, infill, suffix) == left


@pytest.mark.parametrize(
    ("prefix", "suffix", "written", "places"),
    [
        (b"f(", b")\n", b'"via"', [5]),
        (b'f("', b'")\n', b"via x", [3, 4, 5]),
        (b"if ", b" {\n", b"b < 0", [1, 2, 5]),
        (b'"', b'"\n', b"a = b", [1, 2, 3, 4, 5]),
    ],
)
def test_an_infill_may_end_only_where_strings_and_brackets_fit_best(
    prefix: bytes, suffix: bytes, written: bytes, places: list[int]
) -> None:
    rules = StoppingRules(prefix, suffix, ONLY_ENDS, syntax_of("a.py", ""))
    assert rules.places_to_end(written) == places
