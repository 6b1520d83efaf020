"""The syntax of each language, found by a file's name or else by how its text begins."""

import re
from dataclasses import replace
from pathlib import PurePath

from incoder.corpus.text.languages import LANGUAGES
from incoder.inference.syntax.syntax import NEWLINE, Literal, Syntax


def _line_comment(opening: bytes) -> Literal:
    return Literal(opening, NEWLINE, is_comment=True, escapes=False)


def _comment(opening: bytes, closing: bytes) -> Literal:
    return Literal(opening, closing, is_comment=True, escapes=False, spans_lines=True)


def _long(opening: bytes, closing: bytes | None = None, *, escapes: bool = True) -> Literal:
    return Literal(opening, closing or opening, escapes=escapes, spans_lines=True)


def _words(text: str) -> frozenset[bytes]:
    return frozenset(text.encode().split())


def _with(literal: Literal, *openings: bytes) -> Literal:
    return replace(literal, interpolations=tuple((each, b")" if b"(" in each else b"}") for each in openings))


_HASH, _SLASHES, _DASHES = _line_comment(b"#"), _line_comment(b"//"), _line_comment(b"--")
_PERCENT, _SEMICOLON = _line_comment(b"%"), _line_comment(b";")
_STARS = _comment(b"/*", b"*/")
_DOUBLE, _SINGLE = Literal(b'"', b'"'), Literal(b"'", b"'")
_DOUBLED_SINGLE = Literal(b"'", b"'", escapes=False, doubles=True)
_DOUBLED_DOUBLE = Literal(b'"', b'"', escapes=False, doubles=True)
_LONG_DOUBLE, _LONG_SINGLE = _long(b'"""'), _long(b"'''")
_RAW_BACKTICK = _long(b"`", escapes=False)
_CHARACTERS = tuple(b"'%b'" % each for each in [b'"', *rb"\' \" \ ( ) [ ] { } / #".split()])

_PYTHON_STRINGS = (_LONG_DOUBLE, _LONG_SINGLE, _DOUBLE, _SINGLE)
_ELSE = _words("else elif except finally case default catch")
PYTHON = Syntax(
    (*_PYTHON_STRINGS, _HASH),
    formatted={each.opening: _with(each, b"{") for each in _PYTHON_STRINGS},
    is_indented=True,
    block_middles=_ELSE,
    block_words=_words("if elif else for while with try except finally def class async match case"),
)
# Of an unknown language: quotes and `#` as in most languages, and the usual words that continue a block.
UNKNOWN = replace(PYTHON, formatted={})
TEXT = Syntax(has_brackets=False)

_LABEL = re.compile(rb"[A-Za-z_]\w*\s*:(?!:)")
_C_LABEL = re.compile(rb"#|[A-Za-z_]\w*\s*:(?!:)|(?:public|private|protected)(?:\s+\w+)?\s*:")
_C = Syntax(
    (_SLASHES, _STARS, _DOUBLE, _SINGLE),
    block_middles=_words("else case default catch while"),
    label=_C_LABEL,
)
_C_SHARP = replace(
    _C,
    literals=(
        *(_SLASHES, _STARS, _LONG_DOUBLE),
        *(replace(_long(b'@"', b'"', escapes=False), doubles=True), _with(Literal(b'$"', b'"'), b"{")),
        *(_DOUBLE, _SINGLE),
    ),
    block_middles=_words("else case default catch finally while"),
)
_JAVA = replace(
    _C,
    literals=(_SLASHES, _STARS, _LONG_DOUBLE, _DOUBLE, _SINGLE),
    block_middles=_words("else case default catch finally while"),
    label=_LABEL,
)
_GO = replace(
    _JAVA,
    literals=(_SLASHES, _STARS, _RAW_BACKTICK, _DOUBLE),
    plain=_CHARACTERS,
    block_middles=_words("else case default"),
)
_RUST = Syntax(
    (_SLASHES, _STARS, Literal(b'r#"', b'"#', escapes=False, spans_lines=True), _DOUBLE),
    plain=_CHARACTERS,
    block_middles=_words("else"),
)
_JAVASCRIPT = Syntax(
    (_SLASHES, _STARS, _with(_long(b"`"), b"${"), _DOUBLE, _SINGLE),
    has_regular_expressions=True,
    block_middles=_words("else case default catch finally while"),
    label=_LABEL,
)
_KOTLIN = replace(
    _JAVA,
    literals=(_SLASHES, _STARS, _with(_long(b'"""', escapes=False), b"${"), _with(_DOUBLE, b"${"), _SINGLE),
)
_SCALA = replace(
    _JAVA,
    literals=(_SLASHES, _STARS, _LONG_DOUBLE, _DOUBLE),
    plain=_CHARACTERS,
    block_middles=_words("else case catch finally yield"),
)
_SWIFT = replace(_JAVA, literals=(_SLASHES, _STARS, _with(_LONG_DOUBLE, b"\\("), _with(_DOUBLE, b"\\(")))
_DART = replace(
    _JAVA,
    literals=(
        _SLASHES,
        _STARS,
        *(_with(each, b"${") for each in (_LONG_DOUBLE, _LONG_SINGLE, _DOUBLE, _SINGLE)),
    ),
)
_PHP = replace(
    _JAVASCRIPT,
    literals=(_SLASHES, _STARS, _HASH, _with(_DOUBLE, b"{$"), _SINGLE),
    has_regular_expressions=False,
    block_ends=_words("endif endfor endforeach endwhile endswitch ?>"),
    block_middles=_words("else elseif case default catch finally while"),
)
_PERL = Syntax(
    (_HASH, _DOUBLE, _SINGLE),
    plain=(b"$#", b"\\'", b'\\"'),
    block_middles=_words("else elsif continue"),
    label=_LABEL,
)
_RUBY = Syntax(
    (
        _HASH,
        _comment(b"\n=begin", b"\n=end"),
        _with(_DOUBLE, b"#{"),
        _SINGLE,
        _with(Literal(b"`", b"`"), b"#{"),
    ),
    plain=(b'?"', b"?'", b"?#"),
    block_ends=_words("end"),
    block_middles=_words("else elsif when rescue ensure in then"),
)
_ELIXIR = Syntax(
    (_HASH, _with(_LONG_DOUBLE, b"#{"), _with(_DOUBLE, b"#{"), _SINGLE),
    block_ends=_words("end"),
    block_middles=_words("else rescue catch after"),
)
_LUA = Syntax(
    (_comment(b"--[[", b"]]"), _DASHES, _long(b"[[", b"]]", escapes=False), _DOUBLE, _SINGLE),
    block_ends=_words("end until"),
    block_middles=_words("else elseif"),
)
_JULIA = Syntax(
    (_comment(b"#=", b"=#"), _HASH, _with(_LONG_DOUBLE, b"$("), _with(_DOUBLE, b"$(")),
    plain=_CHARACTERS,
    block_ends=_words("end"),
    block_middles=_words("else elseif catch finally"),
)
_SHELL = Syntax(
    (_HASH, _with(_DOUBLE, b"$(", b"${"), replace(_SINGLE, escapes=False)),
    plain=(b"$#", b"${#", b"\\'", b'\\"', b"\\#"),
    block_ends=_words("done fi esac ;;"),
    block_middles=_words("else elif then do"),
    label=re.compile(rb"[\w*|?.\"'-]+\)"),
)
_SQL = Syntax(
    (_DASHES, _STARS, _DOUBLED_SINGLE, _DOUBLED_DOUBLE),
    block_ends=_words("end END end; END; COMMIT COMMIT;"),
    block_middles=_words("else ELSE elsif ELSIF when WHEN exception EXCEPTION begin BEGIN"),
)
_R = Syntax((_HASH, _DOUBLE, _SINGLE), block_middles=_words("else"))
_MATLAB = Syntax(
    (_comment(b"%{", b"%}"), _PERCENT, _DOUBLED_DOUBLE),
    block_ends=_words("end endfunction endif endfor endwhile end_try_catch"),
    block_middles=_words("else elseif case otherwise catch"),
)
_HASKELL = Syntax(
    (_DASHES, _comment(b"{-", b"-}"), _DOUBLE),
    plain=_CHARACTERS,
    block_middles=_words("then else where in of"),
)
_LISP = Syntax((_comment(b"#|", b"|#"), _SEMICOLON, _long(b'"')), plain=(b'#\\"', b"#\\;", b"#\\(", b"#\\)"))
_ERLANG = Syntax(
    (_PERCENT, _DOUBLE),
    plain=(b'$"', b"$%"),
    block_ends=_words("end end. end, end;"),
    block_middles=_words("after catch of"),
)
_TEX = Syntax((_PERCENT,), plain=(b"\\%",))
_CSS = Syntax((_STARS, _DOUBLE, _SINGLE))
_SCSS = replace(_CSS, literals=(_SLASHES, *_CSS.literals))
_JSON = Syntax((_SLASHES, _STARS, _DOUBLE))
_YAML = Syntax((_HASH, _DOUBLE, _DOUBLED_SINGLE), is_indented=True)
_TOML = Syntax(
    (_HASH, _LONG_DOUBLE, replace(_LONG_SINGLE, escapes=False), _DOUBLE, replace(_SINGLE, escapes=False))
)
_INI = Syntax((_HASH, _SEMICOLON), has_brackets=False)
_MAKE = Syntax((_HASH,), block_ends=_words("endif endef"), block_middles=_words("else"))
_CMAKE = Syntax(
    (_HASH, _long(b'"')),
    block_ends=_words("endif endforeach endwhile endfunction endmacro"),
    block_middles=_words("else elseif"),
)
_VIM = Syntax(
    (),
    block_ends=_words("end endif endfor endwhile endfunction endfunc endtry"),
    block_middles=_words("else elseif catch finally"),
)
_FORTRAN = Syntax(
    (_line_comment(b"!"), _DOUBLED_DOUBLE, _DOUBLED_SINGLE),
    block_ends=_words("end endif enddo END ENDIF ENDDO"),
    block_middles=_words("else elseif case contains ELSE CASE CONTAINS"),
)
_MARKUP = Syntax(
    (_comment(b"<!--", b"-->"),),
    has_brackets=False,
    is_markup=True,
    embedded={b"script": _JAVASCRIPT, b"style": _CSS},
)

_BY_LANGUAGE = {
    **{"C": _C, "C++": _C, "CSS": _CSS, "C#": _C_SHARP, "Common Lisp": _LISP, "Dart": _DART, "Go": _GO},
    **{"HTML": _MARKUP, "Haskell": _HASKELL, "Java": _JAVA, "JavaScript": _JAVASCRIPT, "Julia": _JULIA},
    **{"Kotlin": _KOTLIN, "Lua": _LUA, "MATLAB": _MATLAB, "PHP": _PHP, "Perl": _PERL, "Python": PYTHON},
    **{"R": _R, "Ruby": _RUBY, "Rust": _RUST, "SQL": _SQL, "Scala": _SCALA, "Shell": _SHELL},
    **{"Swift": _SWIFT, "TypeScript": _JAVASCRIPT, "Forth": TEXT, "Jupyter": _JSON},
}
_MORE_EXTENSIONS = [
    (_MARKUP, ".vue .svelte .xml .svg .xsd .xsl"),
    (_C, ".cu .cuh .glsl .proto .thrift .zig .v .sv .d .groovy .gradle .hcl .tf"),
    (_SCSS, ".scss .sass .less"),
    (_ELIXIR, ".ex .exs"),
    (_LISP, ".el .clj .cljs .scm .ss .rkt"),
    (PYTHON, ".pyx .pxd .bzl .star .sage"),
    (_ERLANG, ".erl .hrl"),
    (_TEX, ".tex .sty .cls .bib"),
    (_JSON, ".json .jsonc .json5 .webmanifest"),
    (_YAML, ".yaml .yml"),
    (_TOML, ".toml"),
    (_INI, ".ini .cfg .conf .properties .env"),
    (_MAKE, ".mk .mak"),
    (_CMAKE, ".cmake"),
    (_VIM, ".vim"),
    (_FORTRAN, ".f90 .f95 .f03 .f08"),
    (TEXT, ".txt .md .markdown .rst .adoc .log .csv .tsv"),
]
_BY_EXTENSION = {extension: _BY_LANGUAGE[language] for extension, language in LANGUAGES.items()} | {
    extension: syntax for syntax, extensions in _MORE_EXTENSIONS for extension in extensions.split()
}
_BY_NAME = {
    **dict.fromkeys(("makefile", "gnumakefile"), _MAKE),
    **dict.fromkeys(("rakefile", "gemfile", "podfile", "vagrantfile", "brewfile"), _RUBY),
    **dict.fromkeys((".bashrc", ".bash_profile", ".profile", ".zshrc", "dockerfile"), _SHELL),
    **{"cmakelists.txt": _CMAKE, "build": PYTHON, "build.bazel": PYTHON, "sconstruct": PYTHON},
}
_BEGINNINGS = [
    (re.compile(r"#!.*\b(?:ba|z|k|da)?sh\b"), _SHELL),
    (re.compile(r"#!.*\bpython"), PYTHON),
    (re.compile(r"#!.*\bruby\b"), _RUBY),
    (re.compile(r"#!.*\bperl\b"), _PERL),
    (re.compile(r"#!.*\blua"), _LUA),
    (re.compile(r"#!.*\b(?:node|deno|bun)\b"), _JAVASCRIPT),
    (re.compile(r"\s*<\?php"), _PHP),
    (re.compile(r"\s*<(?:!doctype html|html|\?xml)\b", re.IGNORECASE), _MARKUP),
]


def syntax_of(path: str | PurePath | None, text: str = "") -> Syntax:
    """Return the syntax of a file by the extension or name in its `path`, else by the start of its `text`.

    >>> syntax_of(PurePath("main.rb"), "") is syntax_of(None, "#!/usr/bin/ruby")
    True
    """
    if path is not None:
        name = PurePath(path).name.lower()
        syntax = _BY_NAME.get(name) or _BY_EXTENSION.get(PurePath(name).suffix)
        if syntax is not None:
            return syntax
    return next((syntax for pattern, syntax in _BEGINNINGS if pattern.match(text)), UNKNOWN)
