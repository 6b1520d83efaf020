"""Whether brackets, strings and comments are closed, language by language."""

from pathlib import PurePath

import pytest

from incoder.editing.languages import parse_problem

WHOLE = {
    "a.c": "#include <it's>\nint f(char c) { return c == '}' || g(\"(\\\"\"); } // )\n/* { */ int n = 1'0;\n",
    "a.cpp": 'auto s = R"x(" ) {)x";\nint a[2] = {1, 2};\n',
    "A.java": 'class A { String s = """\n  { " (\n  """; char c = \'"\'; }\n',
    "a.kt": 'val s = "${m["k"]}"\nfun f() { }\n',
    "a.cs": 'var s = @"c:\\";\nvar t = $"{x}";\n',
    "a.go": "var s = `{\n(`\nfunc f() rune { return '{' }\n",
    "a.rs": "fn f<'a>(s: &'a str) -> char { r#\"\"}\"#; '{' }\n",
    "a.js": 'const a = `x ${ f({b: `}${c}`}) } }`\nconst r = /[/(]\\/"{/g.test(s) ? 1 / 2 : 3 / 4\n',
    "a.ts": "return /\\(/.test(a as string) // don't\n",
    "a.tsx": "const a = <A b={1} /><br /></A>\n",
    "a.php": "<?php\n# don't (\n$a = 'x\n(';\n$b = <<<EOT\n( \" '\nEOT;\n#[Attribute]\n",
    "a.css": "a::after { content: '}'; background: url(data:;base64,({) } /* } */\n",
    "a.scss": "// don't }\n.a { background: url(http://x/y); .b { c: d } }\n",
    "a.lua": "local s = [==[ ]] ( ]==]\n--[[ ( \n]] f({1}) -- )\n",
    "a.sql": "select '(' || 'it''s' from (t) -- )\n",
    "a.r": "x <- c(1, '(') # don't\n",
    "a.dart": "var s = 'a \"(';\nvoid f() {}\n",
    "a.json": '{"a": [1, "}"]}',
    "a.toml": 'a = ["]"]\n',
}


@pytest.mark.parametrize("name", WHOLE)
def test_brackets_in_strings_comments_and_literals_do_not_count(name: str) -> None:
    assert parse_problem(WHOLE[name], PurePath(name)) is None


@pytest.mark.parametrize("name", [name for name in WHOLE if name not in ("a.json", "a.toml")])
@pytest.mark.parametrize("broken", ["\n)\n", "\n(\n", "\n([)]\n"])
def test_a_bracket_too_many_is_found_in_every_language(name: str, broken: str) -> None:
    assert parse_problem(WHOLE[name] + broken, PurePath(name))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.js", "f(\n", "( in line 1 is not closed"),
        ("a.js", "f()\n}\n", "} in line 2 closes nothing"),
        ("a.js", "f(\n{\n)", "{ in line 2 is closed by ) in line 3"),
        ("a.js", "f()\nx = 'abc\n", "' in line 2 has no end"),
        ("a.js", "x = `a ${b`\n", "` in line 1 is not closed"),
        ("a.js", "/* x\n", "/* in line 1 has no end"),
        ("a.go", 'x := "abc\n', '" in line 1 has no end'),
        ("a.css", "a { b: '", "' in line 1 has no end"),
        ("a.json", '{"a": }', "Expecting value: line 1 column 7 (char 6)"),
        ("a.json", "[" * 100_000, "maximum recursion depth exceeded"),
        ("a.toml", "a = \n", "Invalid value (at line 1, column 5)"),
    ],
)
def test_an_error_says_what_is_wrong_and_where(name: str, text: str, said: str) -> None:
    assert (parse_problem(text, PurePath(name)) or "").startswith(f"does not parse: {said}")


def test_a_large_text_takes_no_more_than_a_moment() -> None:
    text = "f({a: 'b'}, [1, 2]) / 3 // c\n" * 10_000
    assert parse_problem(text, PurePath("a.js")) is None
    assert parse_problem("/" * 100_000, PurePath("a.js")) is None
    assert parse_problem("`" * 99_999, PurePath("a.js"))
    assert parse_problem('"' + "\\" * 100_000, PurePath("a.rs"))


@pytest.mark.parametrize("name", [name for name in WHOLE if name not in ("a.lua", "a.r", "a.json", "a.toml")])
def test_the_end_of_a_comment_that_never_began_is_found(name: str) -> None:
    assert "*/ in line" in (parse_problem(WHOLE[name] + "\n */\n", PurePath(name)) or "")


def test_a_product_before_a_comment_is_no_end_of_one() -> None:
    assert parse_problem("int f(int a, int b) { return a */* times */ b; }\n", PurePath("a.c")) is None
