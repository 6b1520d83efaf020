"""The prose of docstrings: clean a model's infills, and find out whether a text breaks off.

Texts have `\\n` as line ends. This module knows no Python syntax.
"""

import inspect
import re
from collections.abc import Collection

from incoder.editing.lines import indentation

_SENTENCE_END = (".", "!", "?", ":", "…")
_OPEN_END = (",", "(", "[", "{", "—", "–", " -", "=", "&")
# No English sentence ends in one of these words. Many end in a preposition: "the file to read from".
_GOES_ON = frozenset(
    {"a", "although", "an", "and", "because", "but", "every", "into", "its", "nor", "of", "or", "than", "the"}
)
# A model that does not see that the literal is open opens another one.
_OPENED_AGAIN = re.compile(r"""(["'])\1{0,2}(?=\s|$)""")
_ONLY_QUOTES = re.compile(r"""^[ \t]*["']+[ \t]*$\n?""", re.MULTILINE)
_WORD = re.compile(r"[^\W\d_]")
_HEADING = re.compile(
    r"[ \t]*(Args|Arguments|(Other )?Param(eter)?s|Keyword Arg(ument)?s|Returns?|Yields?|Raises|Attributes"
    r"|Examples?|Notes?|Warnings?|See Also|References)(?P<colon>:?)[ \t]*$"
)
_UNDERLINE = re.compile(r"[ \t]*[-=~]{3,}[ \t]*$")
_FIELD_WITHOUT_TEXT = re.compile(r"[ \t]*:(param|type|returns?|rtype|raises?|yields?)\b[^:\n]*:[ \t]*$")


def tidied(infill: str) -> str:
    """Remove indentation, surrounding white space, stray quotes and empty sections from a model's infill.

    >>> tidied('  Return the mean. "')
    'Return the mean.'
    """
    text = _ONLY_QUOTES.sub("", infill.replace("\r\n", "\n").replace("\r", "\n"))
    text = inspect.cleandoc(_OPENED_AGAIN.sub("", text, count=1) if _OPENED_AGAIN.match(text) else text)
    return _without_empty_sections(_without_odd_quote(text.strip()))


def says_something(words: str) -> bool:
    """Whether the first line, which is the summary, has a word and is not a heading."""
    lines = words.split("\n")
    return bool(_WORD.search(lines[0])) and not _is_heading(lines, 0)


def breaks_off(text: str, names: Collection[str] = ()) -> bool:
    """Whether a docstring's text certainly ends within a sentence; a missing full stop alone does not count.

    `names` are words that may end a sentence nevertheless, such as a parameter named `a`.

    >>> breaks_off("The number of"), breaks_off("The number of rows")
    (True, False)
    """
    text = text.rstrip()
    if not text or text.endswith(_SENTENCE_END):
        return False
    paragraph = text.rpartition("\n\n")[2]
    is_bracket_open = "(" in paragraph and not re.search(r"[)\]]", paragraph.rpartition("(")[2])
    last = re.search(r"(?<![\w`'\".])[a-z]+$", text)
    goes_on = last is not None and last[0] in _GOES_ON and last[0] not in names
    return text.endswith(_OPEN_END) or is_bracket_open or goes_on


def _without_odd_quote(text: str) -> str:
    """Remove an unpaired quote at one end of the text, or a pair of quotes around all of it."""
    for mark in ('"', "'"):
        number = text.count(mark)
        if number == 2 and text.startswith(mark) and text.endswith(mark):
            return text[1:-1].strip()
        if mark == '"' and number % 2 == 1:
            text = text.removeprefix(mark) if text.startswith(mark) else text.removesuffix(mark)
    return text.strip()


def _without_empty_sections(text: str) -> str:
    """Remove the headings, of any style, that have no text below them."""
    lines = text.split("\n")
    for number in reversed(range(len(lines))):
        if _FIELD_WITHOUT_TEXT.match(lines[number]):
            following = next((line for line in lines[number + 1 :] if line.strip()), "")
            if len(indentation(following)) <= len(indentation(lines[number])):
                del lines[number]
        elif _is_heading(lines, number):
            end = number + 1 + bool(_UNDERLINE.match("".join(lines[number + 1 : number + 2])))
            below = next((other for other in range(end, len(lines)) if lines[other].strip()), None)
            if below is None or _is_heading(lines, below):
                del lines[number:end]
                while lines[number - 1 : number] == [""] == lines[number : number + 1]:
                    del lines[number]
    return "\n".join(lines).strip()


def _is_heading(lines: list[str], number: int) -> bool:
    heading = _HEADING.match(lines[number])
    is_underlined = number + 1 < len(lines) and bool(_UNDERLINE.match(lines[number + 1]))
    return heading is not None and (heading["colon"] == ":" or is_underlined)
