import time

import pytest

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.text.languages import AMBIGUOUS, EXTENSIONS_OF, LANGUAGES, extension_of, other_language

# Section 3.1 of the paper, word for word.
OF_THE_PAPER = """
C, C++, CSS, C#, Common Lisp, Dart, Forth, Go, HTML, Haskell, Java, JavaScript, Julia, Jupyter, Kotlin, Lua,
Matlab, PHP, Perl, Python, R, Ruby, Rust, SQL, Scala, Shell, Swift, TypeScript
"""


def of(**settings: object) -> CorpusRecipe:
    return CorpusRecipe.model_validate({"sources": [{"kind": "standard-library"}], **settings})


def test_the_languages_are_the_papers() -> None:
    of_the_paper = [name.strip().lower() for name in OF_THE_PAPER.split(",")]
    assert sorted(name.lower() for name in EXTENSIONS_OF) == sorted(of_the_paper)
    assert len(of_the_paper) == 28


def test_no_extension_belongs_to_two_languages() -> None:
    assert len(LANGUAGES) == sum(len(extensions.split()) for extensions in EXTENSIONS_OF.values())
    assert all(extension_of(f"a{extension}") in LANGUAGES for extension in LANGUAGES)


def test_languages_bring_their_extensions_and_nothing_else() -> None:
    assert of().taken_extensions == {".py"}
    assert of(languages=["Rust", "Dart"]).taken_extensions == {".rs", ".dart"}
    assert of(languages=["Rust"], extensions=[".go"]).taken_extensions == {".rs", ".go"}
    assert len(of(languages=list(EXTENSIONS_OF)).taken_extensions) == len(LANGUAGES)


def test_ambiguous_extensions_can_be_left_out() -> None:
    assert of(languages=["C"], ambiguous_extensions="leave-out").taken_extensions == {".c"}
    assert LANGUAGES.keys() > AMBIGUOUS


@pytest.mark.parametrize(
    ("extension", "text", "language"),
    [
        (".m", "#import <Foundation/Foundation.h>\n@interface Foo : NSObject\n@end\n", "Objective-C"),
        (".m", ":- module hello.\n", "Mercury"),
        (".m", "(* Created with the Wolfram Language *)\n", "Wolfram"),
        (".m", "function y = f(x)\n% mean of x\ny = mean(x);\nend\n", None),
        (".h", "@class NSString;\n", "Objective-C"),
        (".h", "#pragma once\nclass Foo { public: int x; };\n", None),
        (".h", "/** @class Foo */\nint f(void);\n", None),
        (".ts", '<?xml version="1.0"?>\n<TS version="2.1">\n', "XML"),
        (".ts", "const a: Array<string> = [];\n", None),
        (".pl", "parent(X, Y) :- father(X, Y).\n", "Prolog"),
        (".pl", "#!/usr/bin/perl\nuse strict;\nmy %h = (a => 1);\n", None),
        (".php", "<?hh\nfunction f(): void {}\n", "Hack"),
        (".php", "<?php\necho 1;\n", None),
        (".r", "REBOL [Title: 1]", "Rebol"),
        (".r", "Rebol [Title: 1]", "Rebol"),
        (".r", "x <- c(1, 2)\n", None),
        (".lsp", "(define (f x) x)\n", "NewLisp"),
        (".lsp", "(defun f (x) x)\n", None),
        (".sc", "SynthDef(\\a, { Out.ar(0) })", "SuperCollider"),
        (".sc", "object A extends App\n", None),
        (".cs", "!Foo methodsFor: 'bar'!", "Smalltalk"),
        (".cs", "class A { bool b = !true; }\n", None),
        (".py", "#import <x>\n", None),
    ],
)
def test_other_languages_are_known_by_their_content(extension: str, text: str, language: str | None) -> None:
    assert other_language(extension, text) == language


@pytest.mark.parametrize("extension", sorted(AMBIGUOUS))
def test_a_text_of_line_ends_is_looked_through_at_once(extension: str) -> None:
    started = time.process_time()
    assert other_language(extension, "\n" * 20_000) is None
    assert time.process_time() - started < 0.5
