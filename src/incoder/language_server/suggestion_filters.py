"""What is shown of an infill: all of it, its beginning, or nothing.

The stopping rules (inference/decoding/stopping_rules/) say where an infill should have ended. They are
applied again here, because a server of another kind may not have them. The other filters are for suggestions
alone, which a user reads at every pause: text that saves no typing, is on the screen already, or would have
to be mended at once is not shown.
"""

import re

from incoder.inference.decoding.stopping_rules.blocks import first_word
from incoder.inference.decoding.stopping_rules.brackets import CLOSERS
from incoder.inference.decoding.stopping_rules.hole import Hole
from incoder.inference.decoding.stopping_rules.repetition import is_telling
from incoder.inference.decoding.stopping_rules.stopping import StoppingRules
from incoder.inference.prompts.line_endings import as_model_sees, line_end, with_line_end
from incoder.inference.syntax.languages import TEXT, syntax_of
from incoder.language_server.indentation_style import in_style_of, without_double_indentation
from incoder.language_server.language_ids import path_of
from incoder.request_settings import ALL_STOPPING_RULES, LinesWanted

# An infill that the other two rules do not permit is written again; a blank suggestion is just not shown.
_RULES = tuple(rule for rule in ALL_STOPPING_RULES if rule not in ("openers", "blanks"))
_ENCODING = ("utf-8", "surrogatepass")  # an editor may send half of a surrogate pair

_LENGTH_BEFORE, _LENGTH_AFTER = 1 << 16, 1 << 15  # characters: twice the bytes that a hole looks at
_LENGTH_OF_START = 200  # characters that may name the language, such as `#!/bin/sh`
_MIN_CHARACTERS = 2  # beside blanks: one character is typed as fast as it is accepted
_MIN_COUNTING_LINES = 4  # lines that differ only in their numbers, such as `x1 = 1`, `x2 = 2`
_WIDE = 0x2E80  # scripts from here on (CJK) have no blanks between words
_FENCE = re.compile(r"^[ \t]*```", re.MULTILINE)
_BLANK_LINES = re.compile(r"(?:[ \t]*\n)+")
_MANY_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){3,}")
_NUMBER = re.compile(r"\d+")
_NO_CODE = re.compile(r"[^\w()\[\]{}]*\Z")
_INSIGNIFICANT = re.compile(r"[\s,;]+")
# The same letters at least four times, up to the end, where the last time may be cut off.
_STUTTER = re.compile(r"(?P<unit>[^\n]{2,60}?)(?P=unit){3,}(?P<last>[^\n]{0,60})\Z")


def shown_suggestion(
    prefix: str,
    suffix: str,
    infill: str,
    language: str,
    *,
    lines: LinesWanted | None = None,
    is_cut_off: bool = False,
) -> str | None:
    """Return the part of an infill that is shown between `prefix` and `suffix`; None if nothing is.

    `language` is an identifier of LSP ("python") or a file's name. `lines` limits the suggestion as it does
    a request. If the infill `is_cut_off` at the token limit, its unfinished last line is not shown, unless
    it is the only one.

    >>> shown_suggestion("total = ", "\\nprint(total)\\n", "sum(xs)\\nprint(total)\\n", "python")
    'sum(xs)'
    >>> shown_suggestion("total = su", "m(xs)\\n", "m(xs)", "python") is None
    True
    """
    syntax = syntax_of(path_of(language), prefix[:_LENGTH_OF_START])
    prefix, suffix = prefix[-_LENGTH_BEFORE:], suffix[:_LENGTH_AFTER]
    before, text, after = as_model_sees([prefix, infill, suffix])
    if _is_in_word(before, after):
        return None
    data, following = before.encode(*_ENCODING), after.encode(*_ENCODING)
    hole = Hole(data, following, syntax)
    if syntax is not TEXT and not hole.is_in_text:
        text = _before(_FENCE, text)
    text = without_double_indentation(hole, _without_leading_blanks(hole, text))
    rules = StoppingRules(data, following, _RULES, syntax, hole.place, lines=lines, allows_tags=False)
    text = _stopped(rules, text)
    if is_cut_off and "\n" in text.strip():
        text = text[: text.rstrip().rindex("\n")]
    text = _without_counting(_without_stutter(text))
    text = in_style_of(hole, _without_second_end(hole, text))
    if hole.ends_a_line:
        text = text.rstrip()
    if _is_worthless(text) or _is_there_already(hole, text) or _is_in_word(text, after):
        return None
    return with_line_end(text, line_end([prefix, infill, suffix]))


def _is_in_word(before: str, after: str) -> bool:
    """Whether the place between two texts is in the middle of a word."""
    around = before[-1:] + after[:1]
    is_word = all(re.match(r"\w", character) and ord(character) < _WIDE for character in around)
    return bool(before and after) and is_word


def _before(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return text if found is None else text[: found.start()]


def _without_leading_blanks(hole: Hole, text: str) -> str:
    """Drop blank lines and blanks that the text before the hole makes superfluous.

    A suggestion for a blank line begins on that line, and one after a blank begins with a word.
    """
    own = hole.own_line.decode("utf-8", "replace")  # a very long line is cut, also within a character
    blank_lines = _BLANK_LINES.match(text)
    if not own.strip():
        following = text[blank_lines.end() :] if blank_lines is not None else ""
        return following.removeprefix(own) if following.startswith(own) and following.strip() else text
    if own[-1:].isspace() and blank_lines is None:
        return text.lstrip(" \t")
    return _MANY_BLANK_LINES.sub("\n\n\n", text)


def _stopped(rules: StoppingRules, text: str) -> str:
    """Return the text up to the place where the stopping rules end it."""
    data = text.encode(*_ENCODING)
    for newline in re.finditer(rb"\n", data):  # line by line: a cut is searched for from the last call on
        place = rules.cut(data[: newline.end()])
        if place is not None:
            break
    else:
        place = rules.cut_at_end(data)
    return data[:place].decode("utf-8", "surrogatepass")


def _without_stutter(text: str) -> str:
    """Keep one of the repetitions that a text ends with: `no no no no no` is `no`."""
    found = _STUTTER.search(text)
    if (
        found is None
        or not re.search(r"[^\W\d]", found["unit"])
        or not found["unit"].startswith(found["last"])
    ):
        return text
    return text[: found.end("unit")].rstrip(" \t,;")


def _without_counting(text: str) -> str:
    """Keep the first of many lines that only count: a model that counts does not know where to end."""
    lines = text.split("\n")
    masked = [_NUMBER.sub("0", line) if _NUMBER.search(line) else None for line in lines]
    for start in range(len(lines) - _MIN_COUNTING_LINES + 1):
        if masked[start] is not None and len(set(masked[start : start + _MIN_COUNTING_LINES])) == 1:
            return "\n".join(lines[: start + 1])
    return text


def _without_second_end(hole: Hole, text: str) -> str:
    """Drop a last line, such as `end`, that the next line of the suffix repeats to the indentation."""
    if not hole.ends_a_line or not hole.lines_after or "\n" not in text.strip():
        return text
    start = text.rstrip().rindex("\n")
    last, following = text[start:].strip().encode(*_ENCODING), hole.lines_after[0]
    is_end = last[:1] in CLOSERS or first_word(last) in hole.syntax.block_ends
    is_same = text[start + 1 :].rstrip().encode(*_ENCODING) == following.rstrip()
    return text[:start] if is_end and is_same else text


def _is_worthless(text: str) -> bool:
    """Whether it is not worth reading: blank, a single character, or only punctuation."""
    return len(text.strip()) < _MIN_CHARACTERS or _NO_CODE.match(text) is not None


def _is_there_already(hole: Hole, text: str) -> bool:
    """Whether the lines before or after the hole are those that it would make, but for blanks and separators.

    Elements of markup repeat, so there only the lines after the hole count.
    """
    if hole.is_middle:
        return False
    made = [line for line in (hole.own_line + text.encode(*_ENCODING)).split(b"\n") if line.strip()]
    if not is_telling(made[:1]):
        return False
    after = hole.lines_after if hole.is_line_start or hole.ends_a_line else []
    candidates = [after[: len(made)]]
    if not hole.syntax.is_markup:
        candidates += [hole.lines_before[-len(made) :], hole.lines_before[-1:]]
    return any(_is_same(made, there) for there in candidates)


def _is_same(made: list[bytes], there: list[bytes]) -> bool:
    pairs = zip(made, there, strict=False)
    return bool(there) and all(_significant(one) == _significant(other) for one, other in pairs)


def _significant(line: bytes) -> str:
    text = line.decode("utf-8", "replace").replace("'", '"')
    return _INSIGNIFICANT.sub("", text)
