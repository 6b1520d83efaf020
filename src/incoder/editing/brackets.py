"""A check that brackets, strings and comments are closed, for languages without a parser here.

A `Notation` describes the comments and literals of a language, whose brackets do not count. A text without an
error may still not parse. The check can misread heredocs, macros and markup, so callers reject a change only
if the text before the change has no error.
"""

import re
from dataclasses import dataclass, field

_CLOSED_BY = {"(": ")", "[": "]", "{": "}", "${": "}", "`": "`"}
_IN_TEMPLATE = re.compile(r"\\.|(?P<close>`)|(?P<open>\$\{)", re.DOTALL)
_REGEX = re.compile(r"/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/")
_BEFORE_REGEX = "(,=:[!&|?{;+-*%~^\n"
_WORD_BEFORE_REGEX = re.compile(r"(?:^|[^\w.$])(?:return|typeof|case|in|of|do|else|yield|await)$")

_LINE, _BLOCK = r"//[^\n]*", r"/\*.*?\*/"
_DOUBLE, _SINGLE = r'"(?:\\.|[^"\\\n])*"', r"'(?:\\.|[^'\\\n])*'"
_LONG_DOUBLE, _LONG_SINGLE = r'"(?:\\.|[^"\\])*"', r"'(?:\\.|[^'\\])*'"  # over several lines
_THREE = r'"""(?:\\.|[^\\])*?"""'
_CHARACTER = r"'(?:\\[^\n]+?|[^'\\\n])'"


@dataclass(frozen=True, slots=True)
class Notation:
    """The comments and literals of a language.

    `skipped` are patterns of complete comments and literals, tried in this order. If none of them matches,
    one of `openings` begins a comment or literal that has no end. `has_templates` is for JavaScript: its
    template strings contain code, and its regular expressions begin like a division.
    """

    skipped: tuple[str, ...]
    openings: tuple[str, ...] = ('"', r"/\*")
    has_templates: bool = False
    tokens: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        opening = r"(?P<open>[(\[{`])|(?P<slash>/)" if self.has_templates else r"(?P<open>[(\[{])"
        # The skipped patterns are in no group of ours, so their own groups are numbered from 1.
        patterns = [
            *self.skipped,
            f"(?P<endless>{'|'.join(self.openings)})",
            opening,
            r"(?P<close>[)\]}])",
        ]
        if r"/\*" in self.openings:
            patterns.append(r"(?P<stray>\*/(?![*/]))")  # not `a */* of */ b`, which is a product
        object.__setattr__(self, "tokens", re.compile("|".join(patterns), re.DOTALL))


C = Notation((_LINE, _BLOCK, r'\bu?8?R"(\w*)\(.*?\)\1"', r"\b\d[\w.']*", _DOUBLE, _CHARACTER))
JAVA = Notation((_LINE, _BLOCK, _THREE, _DOUBLE, _CHARACTER))  # and Kotlin, Scala, Swift
C_SHARP = Notation((_LINE, _BLOCK, r'\$?@\$?"(?:""|[^"])*"', _THREE, _DOUBLE, _CHARACTER))
DART = Notation((_LINE, _BLOCK, _THREE, r"'''.*?'''", _DOUBLE, _SINGLE), ('"', "'", r"/\*"))
GO = Notation((_LINE, _BLOCK, _DOUBLE, r"`[^`]*`", _CHARACTER), ('"', "`", r"/\*"))
RUST = Notation((_LINE, _BLOCK, r'\bb?r(#*)".*?"\1', _LONG_DOUBLE, _CHARACTER))
JAVASCRIPT = Notation((_LINE, _BLOCK, _DOUBLE, _SINGLE), ('"', "'", r"/\*"), has_templates=True)
PHP = Notation(
    (
        _LINE,
        r"#(?!\[)[^\n]*",
        _BLOCK,
        r"<<<[ \t]*['\"]?(\w+)['\"]?\n.*?\n[ \t]*\1\b",
        _LONG_DOUBLE,
        _LONG_SINGLE,
    ),
    ('"', "'", r"/\*"),
)
CSS = Notation((_BLOCK, r"url\([^)\"']*\)", _DOUBLE, _SINGLE), ('"', "'", r"/\*"))
SCSS = Notation((r"url\([^)\"']*\)", _LINE, _BLOCK, _DOUBLE, _SINGLE), ('"', "'", r"/\*"))
LUA = Notation(
    (r"--\[(=*)\[.*?\]\1\]", r"--[^\n]*", r"\[(=*)\[.*?\]\2\]", _DOUBLE, _SINGLE), ('"', "'", r"\[=*\[")
)
SQL = Notation((r"--[^\n]*", _BLOCK, r"\$(\w*)\$.*?\$\1\$", r'"[^"]*"', r"'[^']*'"), ('"', "'", r"/\*"))
R = Notation((r"#[^\n]*", _LONG_DOUBLE, _LONG_SINGLE, r"`[^`]*`"), ('"', "'", "`"))


def bracket_error(text: str, notation: Notation) -> str | None:
    """Describe the first bracket, string or comment that is not closed or closes nothing; else None.

    >>> bracket_error("int f() { return (1;\\n}", C)
    '( in line 1 is closed by } in line 2'
    """
    opened, place = list[tuple[str, int]](), 0
    while True:
        is_in_template = bool(opened) and opened[-1][0] == "`"
        match = (_IN_TEMPLATE if is_in_template else notation.tokens).search(text, place)
        if match is None:
            break
        place, kind, token = match.end(), match.lastgroup, match[0]
        if kind == "endless":
            return f"{token} in {_line(text, match.start())} has no end"
        if kind == "slash":
            place = _end_of_regex(text, match.start())
        elif kind == "open":
            opened.append((token, match.start()))
        elif kind == "stray":
            return f"{token} in {_line(text, match.start())} closes nothing"
        elif kind == "close":
            if not opened:
                return f"{token} in {_line(text, match.start())} closes nothing"
            opening, start = opened.pop()
            if _CLOSED_BY[opening] != token:
                return (
                    f"{opening} in {_line(text, start)} is closed by {token} in {_line(text, match.start())}"
                )
    if opened:
        opening, start = opened[-1]
        return f"{opening} in {_line(text, start)} is not closed"
    return None


def _end_of_regex(text: str, slash: int) -> int:
    """The end of the regular expression that begins at a slash; after the slash if it is a division."""
    before = slash - 1
    while before >= 0 and text[before] in " \t":
        before -= 1
    may_begin = before < 0 or text[before] in _BEFORE_REGEX
    if may_begin or _WORD_BEFORE_REGEX.search(text[max(0, before - 10) : before + 1]):
        match = _REGEX.match(text, slash)
        if match is not None:
            return match.end()
    return slash + 1


def _line(text: str, place: int) -> str:
    return f"line {text.count(chr(10), 0, place) + 1}"
