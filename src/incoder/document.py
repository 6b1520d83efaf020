"""What flows through the product: a document of a corpus, and a text with holes.

Neither knows tokens, sentinels or models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from incoder.errors import IncoderError

DEFAULT_HOLE = "<FILL>"


@dataclass(frozen=True, slots=True)
class Document:
    """One file of a corpus.

    `text` is the content without attributes; `project` groups what must stay on one side of the
    train/validation split (paper, appendix A.1); `attributes` are the metadata that the attribute step
    writes into the text (`ext`, `source`, `filename`, `dstars`, …; paper, section 3.3). `stars` is None where
    nobody knows; `metadata` is what must travel with the text and is never trained on, such as the commit,
    or authors whom a licence asks to name.
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
    """A text with holes: `len(texts) - 1` holes, one between each two neighbours."""

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
        """The whole text, with `infills[i]` in hole i.

        Raises:
            IncoderError: not one infill for each hole.
        """
        if len(infills) != self.num_holes:
            raise IncoderError(
                f"a text with {self.num_holes} holes needs as many infills, got {len(infills)}"
            )
        pieces = [self.texts[0]]
        for infill, text in zip(infills, self.texts[1:], strict=True):
            pieces += [infill, text]
        return "".join(pieces)
