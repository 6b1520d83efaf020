"""Each fast reading of a text counts the errors that a reading of the whole text does."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from incoder.inference.syntax.languages import PYTHON, UNKNOWN
from incoder.inference.syntax.scanner import last_place
from incoder.inference.syntax_errors.bracket_errors import num_bracket_errors
from incoder.inference.syntax_errors.filled_text import FilledText
from incoder.inference.syntax_errors.syntax_trees import grammar, num_errors, num_tree_errors

PIECES = st.lists(
    st.sampled_from(["(", ")", "[", "]", "{", "}", '"', "'", "x", " ", "\n", ";", "# ", "=", "+", "if "]),
    max_size=12,
).map("".join)


@given(st.lists(PIECES, min_size=2, max_size=2), st.lists(PIECES, min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_texts_read_together_have_the_errors_that_each_has_alone(
    around: list[str], infills: list[str]
) -> None:
    texts = [FilledText(tuple(around), (infill,)) for infill in infills]
    for syntax in (PYTHON, UNKNOWN):
        alone = [num_bracket_errors([text], syntax)[0] for text in texts]
        assert num_bracket_errors(texts, syntax) == alone


@given(PIECES)
@settings(max_examples=100, deadline=None)
def test_an_opening_bracket_more_is_an_error_more(before: str) -> None:
    assume(not last_place(before.encode(), PYTHON).stack)
    texts = [FilledText((before + "\n", "\n"), (infill,)) for infill in ("x", "(x")]
    sound, unsound = num_bracket_errors(texts, PYTHON)
    assert unsound == sound + 1


LANGUAGES = {
    "Python": ("def f(x):\n    return (x)\n\n\ndef g(y):\n", "\n    return y\n"),
    "JavaScript": ("function f(x) { return (x); }\nfunction g(y) {\n", "\n  return y;\n}\n"),
    "Java": ("class A {\n  int f(int x) { return x; }\n  int g(int y) {\n", "\n    return y;\n  }\n}\n"),
    "Go": ("package a\n\nfunc f(x int) int { return x }\n\nfunc g(y int) int {\n", "\n\treturn y\n}\n"),
    "Rust": ("fn f(x: i32) -> i32 { x }\nfn g(y: i32) -> i32 {\n", "\n    y\n}\n"),
    "C++": ("int f(int x) { return x; }\nint g(int y) {\n", "\n  return y;\n}\n"),
}
STATEMENTS = [
    "    x = 1",
    "  f(1);",
    "  f(1;",
    "}",
    "  {",
    "  if (y) { f(1); }",
    '  "',
    "  /* ",
    "",
    "\té\n\n",
    ")",
]


@pytest.mark.parametrize("language", LANGUAGES)
def test_reading_the_statement_again_finds_what_reading_the_file_does(language: str) -> None:
    found = grammar(language)
    if found is None:
        pytest.skip(f"there is no grammar for {language} here")
    from tree_sitter import Parser

    for first in STATEMENTS:
        infills = [first, *(one for one in STATEMENTS if one != first)]
        texts = [FilledText(LANGUAGES[language], (infill,)) for infill in infills]
        whole = [num_errors(Parser(found).parse(text.text.encode())) for text in texts]
        assert [count > min(whole) for count in whole] == [
            count > min(again) for again in [num_tree_errors(texts, found)] for count in again
        ]
