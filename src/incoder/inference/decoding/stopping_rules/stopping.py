"""Stopping rules: the place where an infill should have ended, judged by the text around its hole.

A model that runs past its hole closes the string that contains the hole, repeats the code after it, repeats
the same lines over and over, leaves the block, or closes a bracket twice. Each rule takes the bytes of an
infill and returns the place from which they are cut off. Three rules say which infills must not be: a token
that would end a blank one, or begin one with a newline inside a line, is refused, and an infill without the
opener that is missing is written again. The rules know which strings, comments and brackets are open at the
hole (syntax/) but need no grammar, so they work in broken files and in most languages.
"""

from collections.abc import Collection, Sequence
from copy import copy
from typing import Protocol

from incoder.inference.decoding.stopping_rules.blanks import Blanks
from incoder.inference.decoding.stopping_rules.brackets import Brackets
from incoder.inference.decoding.stopping_rules.enclosure import Enclosure
from incoder.inference.decoding.stopping_rules.ends import Ends
from incoder.inference.decoding.stopping_rules.hole import Hole, Infill
from incoder.inference.decoding.stopping_rules.indentation import Indentation
from incoder.inference.decoding.stopping_rules.line_limits import line_limit
from incoder.inference.decoding.stopping_rules.openers import Openers
from incoder.inference.decoding.stopping_rules.own_line import LineEnd, NoLeadingNewline, OneLine, RestOfLine
from incoder.inference.decoding.stopping_rules.repetition import Loops, Repetition
from incoder.inference.decoding.stopping_rules.training_tags import TrainingTags
from incoder.inference.syntax.languages import UNKNOWN
from incoder.inference.syntax.scanner import START, Place
from incoder.inference.syntax.syntax import Syntax
from incoder.request_settings import LinesWanted, StoppingRule


class Rule(Protocol):
    """One stopping rule for one hole, called after every token of its infill."""

    def cut(self, infill: Infill) -> int | None:
        """Return the place where the infill so far must be cut; None if it need not be."""

    def num_committed(self, infill: Infill) -> int:
        """Return how many bytes stay however the infill continues; called only if `cut` returned None."""


class Trim(Protocol):
    """A rule for the end of an infill, applied once it has ended."""

    def trimmed(self, text: bytes) -> int:
        """Return the number of bytes of the finished infill that stay."""

    def num_kept(self, text: bytes) -> int:
        """Return how many bytes stay whether the infill ends here or later."""


class Need(Protocol):
    """A rule for what an infill needs; it applies to holes where `is_on` is true."""

    is_on: bool

    def may_be(self, infill: bytes) -> bool:
        """Whether these bytes may be the whole infill."""

    def may_begin(self, infill: bytes) -> bool:
        """Whether an infill may begin with these bytes."""


class StoppingRules:
    """The named rules together, for a hole between `prefix` and `suffix` in a file of this syntax.

    `place` may be a place in the prefix that the previous hole has been scanned up to. Unless `allows_tags`
    is set, no infill contains the tags of training documents, whatever the rules; `lines` limits it in the
    same way (line_limits.py). An infill must begin with `start`, the missing indentation if a block begins at
    the hole, or a line is missing that opens one. Set `hardly_ends` if the model hardly ends infills itself.

    >>> from incoder.inference.syntax.languages import PYTHON
    >>> rules = StoppingRules(b'name = "', b'"\\n', ("strings",), PYTHON)
    >>> rules.cut(b'Ada" + "Lovelace')
    3
    """

    def __init__(
        self,
        prefix: bytes,
        suffix: bytes,
        rules: Collection[StoppingRule],
        syntax: Syntax = UNKNOWN,
        place: Place = START,
        *,
        lines: LinesWanted | None = None,
        allows_tags: bool = True,
        hardly_ends: bool = False,
    ) -> None:
        self._hole = hole = Hole(prefix, suffix, syntax, place)
        line_end, indentation = LineEnd(hole), Indentation(hole)
        openers = Openers(hole)
        self._openers = openers if "openers" in rules and openers.is_on else None
        self._is_strict = False
        needs: dict[StoppingRule, Need] = {"lines": NoLeadingNewline(hole), "blanks": Blanks(hole)}
        self._needs = [needs[name] for name in rules if name in needs and needs[name].is_on]
        rest = RestOfLine(hole, needs_text=needs["blanks"] in self._needs)
        by_name: dict[StoppingRule, tuple[Sequence[Rule], Sequence[Trim]]] = {
            "strings": ([Enclosure(hole)], []),
            "lines": ([OneLine(hole, hardly_ends=hardly_ends)], [line_end]),
            "rest": ([rest], [rest]),
            "repetition": ([Repetition(hole)], []),
            "loops": ([Loops(hole)], []),
            "indentation": ([indentation], []),
            "brackets": ([Brackets(hole)], []),
            "openers": ([], []),
            "blanks": ([], []),
            "ends": ([], []),
            "tails": ([], []),
        }
        self._rules = [rule for name in rules for rule in by_name[name][0]]
        self._trims = [trim for name in rules for trim in by_name[name][1]]
        self.start = indentation.start if "indentation" in rules else b""
        self._rest = rest if "rest" in rules else None
        ends = Ends(hole)
        self._ends = ends if "ends" in rules and ends.is_on else None
        self._tags = None if allows_tags else TrainingTags(self._hole)
        self._rules += [] if self._tags is None else [self._tags]
        limit = line_limit(hole, lines)
        self._rules += [] if limit is None else [limit]
        self._last = Infill(self._hole, b"")
        self._fine = b""

    @property
    def place(self) -> Place:
        """The place of the last mark before the hole."""
        return self._hole.place

    def places_to_end(self, text: bytes) -> list[int]:
        """Return where an infill of which this was written may end: after how many bytes.

        The rule *rest* does not count, since it cannot know the place. Empty without the rule *ends*, and if
        the hole is not inside a line.
        """
        if self._ends is None:
            return []
        others = copy(self)
        others._rules = [rule for rule in self._rules if rule is not self._rest]
        others._trims, others._last, others._fine = [], Infill(self._hole, b""), b""
        places = self._ends.places(text[: others.cut(text)])
        return [place for place in places if not self._needs or self._may_be(text[:place])]

    @property
    def has_needs(self) -> bool:
        """Whether there are infills that the rules do not permit."""
        return bool(self._needs)

    @property
    def may_require(self) -> bool:
        """Whether `required_next` may name bytes anywhere in the infill."""
        return self._openers is not None and self._is_strict

    def required_next(self, text: bytes) -> bytes:
        """Return the bytes that the next tokens must spell."""
        return b"" if self._openers is None else self._openers.required_next(text)

    def asks_for_another(self, infill: bytes, *, is_whole: bool = True) -> bool:
        """Whether an infill lacks an opener, so that one should be written by `stricter` rules.

        One that is not whole was ended by a limit.
        """
        if self._openers is None or self._is_strict:
            return False
        return self._openers.is_lacking(infill, is_whole=is_whole)

    def stricter(self) -> "StoppingRules":
        """Return these rules, which now only permit an infill that is an opener."""
        assert self._openers is not None
        strict = copy(self)
        strict._is_strict = True
        strict._rules, strict._needs = [*self._rules, self._openers], [*self._needs, self._openers]
        strict.start = self._openers.start or self.start
        strict._last, strict._fine = Infill(self._hole, b""), b""
        return strict

    def cut(self, text: bytes) -> int | None:
        """Return the place where an unfinished infill must be cut; None if it need not be.

        The earliest prefix that a rule cuts decides, so the place does not depend on where tokens end.
        """
        if self._place_in(text) is None:
            self._fine = text
            return None
        ends = range(len(self._fine) + 1 if text.startswith(self._fine) else 0, len(text) + 1)
        end, place = next((end, place) for end in ends if (place := self._place_in(text[:end])) is not None)
        rest_follows = self._rest is not None and self._rest.cut(self._infill(text[:end])) == place
        return self._trimmed(text[:place], rest_follows=rest_follows)

    def cut_at_end(self, text: bytes) -> int | None:
        """Return the place where a finished infill must be cut. At a line end, the last line counts, too."""
        place = self.cut(text + b"\n" if self._hole.ends_a_line else text)
        if place is None:
            end = self._rest.cut_at_end(self._infill(text)) if self._rest is not None else None
            place = self._trimmed(text[:end], rest_follows=end is not None)
        place = min(place, len(text))
        return place if place < len(text) else None

    def num_committed(self, text: bytes) -> int:
        """Return how many bytes stay however the infill continues; called only if `cut` returned None."""
        if self._openers is not None and not self._is_strict and not self._openers.is_free(text):
            return 0  # another infill may be written
        infill = self._infill(text)
        committed = min((rule.num_committed(infill) for rule in self._rules), default=len(text))
        return min((trim.num_kept(text[:committed]) for trim in self._trims), default=committed)

    def forbidden_next(self, text: bytes) -> bytes | None:
        """Return the bytes that the next token must not begin with; None if none will be from here on."""
        return None if self._tags is None else self._tags.forbidden_next(text)

    def may_begin(self, text: bytes) -> bool:
        """Whether an infill that may be could begin with this text."""
        return all(need.may_begin(text) for need in self._needs)

    def permits(self, text: bytes, more: bytes) -> bool:
        """Whether `more` may come next in an unfinished infill: it could still become one that may be.

        Text that a rule cuts off at once counts as the end of the infill where it is blank so far, or where a
        line ends.
        """
        new = text + more
        if not self.may_begin(new):
            return False
        if not self._needs or (text.strip() and b"\n" not in more):
            return True
        place = self.cut(new)
        return place is None or self._may_be(new[:place])

    def permits_end(self, text: bytes) -> bool:
        """Whether an unfinished infill may end here."""
        return not self._needs or self._may_be(text[: self.cut_at_end(text)])

    def _may_be(self, infill: bytes) -> bool:
        return all(need.may_be(infill) for need in self._needs)

    def _place_in(self, text: bytes) -> int | None:
        infill = self._infill(text)
        return min((place for rule in self._rules if (place := rule.cut(infill)) is not None), default=None)

    def _infill(self, text: bytes) -> Infill:
        if self._last.text != text:  # `cut` and `num_committed` are called with the same text
            self._last = Infill(self._hole, text)
        return self._last

    def _trimmed(self, text: bytes, *, rest_follows: bool) -> int:
        """Return how much of an infill stays. If the rest was written next, the infill does not repeat it."""
        others = [trim.trimmed(text) for trim in self._trims if trim is not self._rest]
        if self._rest is not None:
            others.append(self._rest.without_blanks(text) if rest_follows else self._rest.trimmed(text))
        return min(others, default=len(text))
