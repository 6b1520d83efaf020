"""The two kinds of text in this code base: a document of a corpus, and a text with holes.

They know no tokens, sentinels or models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from incoder.errors import IncoderError

DEFAULT_HOLE = "<FILL>"


@dataclass(frozen=True, slots=True)
class Document:
    """One file of a corpus.

    `text` is the content without attributes. Documents of one `project` stay on the same side of the
    train/validation split (paper, appendix A.1). `attributes` are written into the training text (`ext`,
    `source`, `filename`, `dstars`, …; paper, section 3.3). `stars` is None if unknown. `metadata` is kept
    with the text and never trained on, such as the commit, or the authors that a licence requires to be
    named.
    """

    text: str
    path: str
    project: str
    source: str
    licence: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    stars: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parts:
    """A text with holes, one between each two neighbours in `texts`.

    >>> parts = Parts.split("def f(<FILL>): ...")
    >>> parts.num_holes, parts.join(["x"])
    (1, 'def f(x): ...')
    """

    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.texts:
            raise IncoderError("a text with holes needs at least one part, got none")

    @classmethod
    def split(cls, text: str, hole: str = DEFAULT_HOLE) -> "Parts":
        """Cut `text` at every occurrence of the marker `hole`.

        Raises:
            IncoderError: `hole` is empty.
        """
        if not hole:
            raise IncoderError("the hole marker must not be empty; the default is <FILL>")
        return cls(tuple(text.split(hole)))

    @property
    def num_holes(self) -> int:
        return len(self.texts) - 1

    def join(self, infills: Sequence[str]) -> str:
        """Return the whole text, with `infills[i]` in hole i.

        Raises:
            IncoderError: the number of infills is not the number of holes.
        """
        if len(infills) != self.num_holes:
            raise IncoderError(
                f"a text with {self.num_holes} holes needs as many infills, got {len(infills)}"
            )
        pieces = [self.texts[0]]
        for infill, text in zip(infills, self.texts[1:], strict=True):
            pieces += [infill, text]
        return "".join(pieces)
