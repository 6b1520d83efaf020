"""Where an infill should have ended, by the text around its hole: small rules, each for itself.

A model that runs past its hole closes the string that the hole is in, writes what follows it again, writes
the same lines over and over, leaves the block, or closes a bracket twice. Bytes in, a place in the infill
out: from there on it is cut off. The rules (edge_rules/) know what is open where the hole begins (syntax/)
and need no grammar, so that they work in the middle of a broken file and in most languages.
"""

from collections.abc import Collection, Sequence
from typing import Literal, Protocol, get_args

from incoder.inference.edge_rules.brackets import Brackets
from incoder.inference.edge_rules.enclosure import Enclosure
from incoder.inference.edge_rules.hole import Hole, Infill
from incoder.inference.edge_rules.indentation import Indentation
from incoder.inference.edge_rules.own_line import LineEnd, OneLine, RestOfLine
from incoder.inference.edge_rules.repetition import Loops, Repetition
from incoder.inference.edge_rules.training_tags import TrainingTags
from incoder.inference.syntax.languages import UNKNOWN
from incoder.inference.syntax.scanner import START, Place
from incoder.inference.syntax.syntax import Syntax

EdgeRule = Literal["strings", "lines", "repetition", "loops", "indentation", "brackets"]
ALL_EDGE_RULES: tuple[EdgeRule, ...] = get_args(EdgeRule)


class Rule(Protocol):
    """One rule for one hole, asked again with every token of its infill."""

    def cut(self, infill: Infill) -> int | None:
        """Where the infill so far must be cut, None where it is fine."""

    def num_settled(self, infill: Infill) -> int:
        """How many bytes of an infill that is fine no longer text will have cut off."""


class Trim(Protocol):
    """A cut at the end of an infill, made when that end is known."""

    def trimmed(self, text: bytes) -> int:
        """How many bytes of the finished infill stay."""

    def num_kept(self, text: bytes) -> int:
        """How many bytes stay wherever the infill ends, at the end of this text or later."""


class Edge:
    """The rules of these names together, for a hole between `prefix` and `suffix` in a file of this syntax.

    `place` may be one in the prefix that is known from the hole before. Without `allows_tags` no infill
    contains the tags of training documents, whatever rules there are. An infill must begin with `start`, the
    indentation of a block that begins there.
    """

    def __init__(
        self,
        prefix: bytes,
        suffix: bytes,
        rules: Collection[EdgeRule],
        syntax: Syntax = UNKNOWN,
        place: Place = START,
        *,
        allows_tags: bool = True,
    ) -> None:
        self._hole = hole = Hole(prefix, suffix, syntax, place)
        line_end, rest, indentation = LineEnd(hole), RestOfLine(hole), Indentation(hole)
        by_name: dict[EdgeRule, tuple[Sequence[Rule], Sequence[Trim]]] = {
            "strings": ([Enclosure(hole)], []),
            "lines": ([OneLine(hole)], [line_end]),
            "repetition": ([Repetition(hole), rest], [rest]),
            "loops": ([Loops(hole)], []),
            "indentation": ([indentation], []),
            "brackets": ([Brackets(hole)], []),
        }
        self._rules = [rule for name in rules for rule in by_name[name][0]]
        self._trims = [trim for name in rules for trim in by_name[name][1]]
        self.start = indentation.start if "indentation" in rules else b""
        self._tags = None if allows_tags else TrainingTags(self._hole)
        self._rules += [] if self._tags is None else [self._tags]
        self._last = Infill(self._hole, b"")
        self._fine = b""

    @property
    def place(self) -> Place:
        """The place of the last mark before the hole."""
        return self._hole.place

    def cut(self, text: bytes) -> int | None:
        """Where an infill must be cut that is still written, None where it is fine.

        The place does not depend on the tokens in which it came: what the first bytes tell counts.
        """
        if self._place_in(text) is None:
            self._fine = text
            return None
        ends = range(len(self._fine) + 1 if text.startswith(self._fine) else 0, len(text) + 1)
        place = next(place for end in ends if (place := self._place_in(text[:end])) is not None)
        return self._trimmed(text[:place])

    def cut_at_end(self, text: bytes) -> int | None:
        """Where an infill that has ended must be cut; if a line ends there, that line counts, too."""
        place = self.cut(text + b"\n" if self._hole.ends_a_line else text)
        place = self._trimmed(text) if place is None else min(place, len(text))
        return place if place < len(text) else None

    def num_settled(self, text: bytes) -> int:
        """How many bytes of an infill that is fine will stay, whatever comes."""
        infill = self._infill(text)
        settled = min((rule.num_settled(infill) for rule in self._rules), default=len(text))
        return min((trim.num_kept(text[:settled]) for trim in self._trims), default=settled)

    def forbidden_next(self, text: bytes) -> bytes | None:
        """The bytes that the next token must not begin with; None if nothing is forbidden from here on."""
        return None if self._tags is None else self._tags.forbidden_next(text)

    def _place_in(self, text: bytes) -> int | None:
        infill = self._infill(text)
        return min((place for rule in self._rules if (place := rule.cut(infill)) is not None), default=None)

    def _infill(self, text: bytes) -> Infill:
        if self._last.text != text:  # asked for its cut and for what is settled
            self._last = Infill(self._hole, text)
        return self._last

    def _trimmed(self, text: bytes) -> int:
        return min((trim.trimmed(text) for trim in self._trims), default=len(text))
