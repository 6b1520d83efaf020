"""Which infills add syntax errors: golden cases in twelve languages, in sound and in broken files."""

from pathlib import PurePath

import pytest

from incoder.inference.syntax_errors import added_errors
from incoder.inference.syntax_errors.added_errors import adds_errors
from incoder.inference.syntax_errors.syntax_trees import GRAMMARS, grammar

# For each language: a file with <FILL>, infills that fit, infills that do not, and what to break elsewhere.
CASES = {
    "a.py": (
        "def area(w, h):\n    return (w * h)\n"
        + 10 * "\nx = 1\n"
        + "\n\ndef mean(xs):\n    if not xs:\n<FILL>    return sum(xs)\n",
        ["        return 0\n", "        raise ValueError('empty')\n"],
        ["    return 0\n", "        return (0\n", "        return 'x\n", "        else:\n"],
        ("(w * h)", "(w * h"),
    ),
    "a.js": (
        "function area(w, h) {\n  return (w * h);\n}\n\nfunction mean(xs) {\n  if (!xs) {\n<FILL>\n  }\n}\n",
        ["    return 0;", "    throw new Error(`empty`);"],
        ["    return (0;", "    return }", "    const = 3;", "    if (xs {"],
        ("(w * h)", "(w * )"),
    ),
    "A.java": (
        "class A {\n  int area(int w, int h) { return w * h; }\n\n  int mean(int[] xs) {\n"
        "    <FILL>\n  }\n}\n",
        ["return xs[0];", 'throw new Error("empty");'],
        ["return xs[0;", "return }", "int = 3;", "if (xs {"],
        ("w * h;", "w * ;"),
    ),
    "a.go": (
        "package a\n\nfunc area(w int, h int) int { return w * h }\n\n"
        "func mean(xs []int) int {\n\t<FILL>\n}\n",
        ["return xs[0]", 'panic("empty")'],
        ["return xs[0", "return }", "x := := 3", "if xs == nil {"],
        ("w * h }", "w * }"),
    ),
    "a.rs": (
        "fn area(w: i32, h: i32) -> i32 { w * h }\n\nfn mean(xs: &[i32]) -> i32 {\n    <FILL>\n}\n",
        ["xs[0]", 'panic!("empty");'],
        ["xs[0", "return }", "let = 3;", "if xs.is_empty() {"],
        ("{ w * h }", "{ w * }"),
    ),
    "a.cpp": (
        "int area(int w, int h) { return w * h; }\n\nint mean(const int* xs) {\n    <FILL>\n}\n",
        ["return xs[0];", 'throw "empty";'],
        ["return xs[0;", "return }", "int = 3;", "if (xs) {"],
        ("w * h;", "w * ;"),
    ),
    "a.c": (
        "int area(int w, int h) { return w * h; }\n\nint mean(const int* xs) {\n    <FILL>\n}\n",
        ["return xs[0];", "for (;;) break;"],
        ["return xs[0;", "return }", "int = 3;"],
        ("w * h;", "w * ;"),
    ),
    "a.cs": (
        "class A {\n  int Area(int w, int h) { return w * h; }\n\n  int Mean(int[] xs) {\n"
        "    <FILL>\n  }\n}\n",
        ["return xs[0];", 'throw new Error("empty");'],
        ["return xs[0;", "return }", "if (xs {"],
        ("w * h;", "w * ;"),
    ),
    "a.ts": (
        "function area(w: number): number { return w * 2; }\n\nfunction mean(xs: number[]): number {\n"
        "  <FILL>\n}\n",
        ["return xs[0];", "const x: number = 3; return x;"],
        ["return xs[0;", "return }", "const x: = 3;"],
        ("w * 2;", "w * ;"),
    ),
    "a.rb": (
        "def area(w, h)\n  w * h\nend\n\ndef mean(xs)\n  <FILL>\nend\n",
        ["xs[0]", "raise 'empty' if xs.empty?"],
        ["xs[0", "if xs.empty?", "x = = 3"],
        ("w * h", "w * )"),
    ),
    "a.php": (
        "<?php\nfunction area($w, $h) { return $w * $h; }\n\nfunction mean($xs) {\n  <FILL>\n}\n",
        ["return $xs[0];", "throw new Error('empty');"],
        ["return $xs[0;", "return }", "$x = = 3;"],
        ("$w * $h;", "$w * ;"),
    ),
    "a.sh": (
        'area() {\n  echo "$(($1 * $2))"\n}\n\nmean() {\n  <FILL>\n}\n',
        ['echo "$1"', "if true; then echo; fi"],
        ['echo "$1', "if true; then echo"],
        ("area() {", "area( {"),
    ),
}
_LANGUAGES = {
    **{"a.py": "Python", "a.js": "JavaScript", "A.java": "Java", "a.go": "Go", "a.rs": "Rust"},
    **{"a.cpp": "C++", "a.c": "C", "a.cs": "C#", "a.ts": "TypeScript", "a.rb": "Ruby", "a.php": "PHP"},
    "a.sh": "Shell",
}
STRANGE = ["\x00<FILL>\x00", "<FILL>", "\udcff = <FILL>\n", "\ufeffx = <FILL>\r\n", "(<FILL>"]


def added(text: str, infills: list[str], name: str | None) -> list[bool]:
    return adds_errors(text.split("<FILL>"), [[infill] for infill in infills], name and PurePath(name))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("is_broken", [False, True], ids=["sound", "broken elsewhere"])
def test_infills_that_do_not_parse_add_errors(name: str, is_broken: bool) -> None:
    text, fitting, unfitting, (sound, broken) = CASES[name]
    if grammar(_LANGUAGES[name]) is None:
        pytest.skip(f"there is no grammar for {_LANGUAGES[name]} here")
    if is_broken and name == "a.sh":
        pytest.skip("tree-sitter reads nearly anything as shell after an error")
    if is_broken:
        assert text.count(sound) == 1
        text = text.replace(sound, broken)
    found = added(text, [*fitting, *unfitting], name)
    assert found == [False] * len(fitting) + [True] * len(unfitting)


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("a.rb", "a.sh")])
def test_without_grammars_brackets_and_quotes_are_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(added_errors, "grammar", lambda _: None)
    text, fitting, unfitting, _ = CASES[name]
    unbalanced = unfitting[0] if name != "a.py" else unfitting[1]
    assert added(text, [*fitting, unbalanced], name) == [False] * len(fitting) + [True]


def test_a_text_of_an_unknown_language_that_parses_as_python_is_python() -> None:
    assert added("x = <FILL>\n", ["1", "def"], None) == [False, True]


def test_prose_has_no_errors_but_in_brackets() -> None:
    assert added("Dear <FILL>, how are you?\n", ["Ada", "Bob and Eve"], "a.txt") == [False, False]


def test_all_holes_of_a_candidate_count() -> None:
    parts = ["a = ", "\nb = ", "\n"]
    candidates = [["1", "2"], ["(1", "2"], ["1", "2)"]]
    assert adds_errors(parts, candidates, PurePath("a.py")) == [False, True, True]


def test_a_bracket_may_be_opened_in_one_hole_and_closed_in_the_next() -> None:
    parts = ["a = ", "1,\n", "\n"]
    assert adds_errors(parts, [["[", "2]"], ["[", "2"]], PurePath("a.py")) == [False, True]


def test_candidates_that_all_add_errors_are_equal_unless_one_adds_fewer() -> None:
    assert added("x = <FILL>\n", ["(", "["], "a.py") == [False, False]
    assert added("val x = <FILL>\n", ["(1", "((1"], "a.kt") == [False, True]  # read by its brackets


@pytest.mark.parametrize(
    "text", ["\x00<FILL>\x00", "<FILL>", "\udcff = <FILL>\n", "\ufeffx = <FILL>\r\n", "("]
)
@pytest.mark.parametrize("name", [None, "a.py", "a.js", "a.unknown"])
def test_no_text_is_refused(text: str, name: str | None) -> None:
    infills = ["1", ")", "\udcfe", "\x00", '"' * 500, "(" * 5000]
    assert len(added(text, infills, name)) == len(infills)


def test_every_grammar_is_one_of_a_known_language() -> None:
    from incoder.corpus.text.languages import LANGUAGES

    assert set(GRAMMARS) - {"TSX"} <= set(LANGUAGES.values())
