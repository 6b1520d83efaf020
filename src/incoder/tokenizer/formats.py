"""The infilling format of a tokenizer's model, and the interface of all formats (a Protocol).

A vocabulary has the tokens of one format, which is the default; a name overrides it. Reads tokenizer files;
knows no model.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from incoder.errors import IncoderError
from incoder.files import MAX_JSON_BYTES, parse_json, read_text
from incoder.tokenizer.family_tokenizer import FamilyTokenizer
from incoder.tokenizer.fill_in_the_middle import FAMILIES, Family, FillInTheMiddleFormat, ends_and_unspelled
from incoder.tokenizer.infilling_format import CausalMaskingFormat
from incoder.tokenizer.text_tokenizer import TextTokenizer
from incoder.tokenizer.tokenizer import Tokenizer
from incoder.tokenizer.vocabulary_layout import END_OF_MASK, NUM_SENTINELS

SPECIAL_TOKENS = frozenset(token for family in FAMILIES for token in (*family.tokens, *family.ends))
# Models that only complete: the tokens that end a document, and those that begin one if the tokenizer's file
# does not say how a text begins.
_BEGINS = ("<s>", "<|begin_of_text|>")
_ENDS = ("</s>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|im_end|>")


class InfillingFormat(Protocol):
    """How to write a prompt for holes, and which tokens are not text."""

    @property
    def name(self) -> str: ...

    @property
    def max_num_holes(self) -> int:
        """The most holes in one prompt; if 0, the model can only complete.

        If 1, several holes are filled one after the other, each with its own prompt.
        """

    @property
    def document_start_id(self) -> int | None:
        """The token before a whole document, in `complete` and `score` alike, or None if there is none."""

    @property
    def reads_attributes(self) -> bool:
        """Whether documents began with a line of attributes (`<| file ext=.py |>`) in training."""

    @property
    def reads_repositories(self) -> bool:
        """Whether the format has a place for other files of the repository: `context`."""

    @property
    def end_of_infill_id(self) -> int | None:
        """The token after an infill if more holes follow in the same prompt."""

    @property
    def end_of_infill_ids(self) -> frozenset[int]:
        """The tokens that end an infill or a completion when the model writes them."""

    @property
    def never_generated_ids(self) -> frozenset[int]: ...

    def prompt(self, parts: Sequence[Sequence[int]], *, is_start: bool = True) -> list[int]:
        """Return the parts with a hole between each two, up to the place of the first infill."""

    def hole_start(self, hole: int) -> list[int]:
        """Return the tokens right before the infill of this hole (counted from 0)."""

    def context(
        self, files: Mapping[str, str], path: str, repository: str, encode: Callable[[str], list[int]]
    ) -> tuple[list[int], str]:
        """Return other files as context before the prompt for `path`, and the beginning of its prefix.

        Only for formats with `reads_repositories`.
        """


class NoInfillingFormat:
    """The format of models without tokens for holes: they only complete."""

    name = "none"
    max_num_holes = 0
    reads_attributes = False
    reads_repositories = False
    end_of_infill_id = None

    def __init__(self, tokenizer: TextTokenizer) -> None:
        ids = tokenizer.special_ids
        begins = [ids[name] for name in _BEGINS if name in ids]
        self._begin = begins[:1] if tokenizer.start_ids is None else list(tokenizer.start_ids)
        self.document_start_id = self._begin[0] if self._begin else None
        self._end_id = next((ids[name] for name in _ENDS if name in ids), None)
        self.end_of_infill_ids, self.never_generated_ids = ends_and_unspelled(tokenizer, _ENDS)

    def prompt(self, parts: Sequence[Sequence[int]], *, is_start: bool = True) -> list[int]:
        """Return the tokens with which the family's tokenizer begins a text, and the only part.

        If both are empty, the prompt is the token that ends a document: a new document begins after it.

        Raises:
            IncoderError: the text is empty, and the vocabulary has no such token.
        """
        del is_start
        assert len(parts) == 1
        prompt = [*self._begin, *parts[0]]
        if prompt:
            return prompt
        if self._end_id is None:
            raise IncoderError(
                "this model cannot complete an empty text: no token of its vocabulary begins or ends one"
            )
        return [self._end_id]

    def hole_start(self, hole: int) -> list[int]:
        raise AssertionError(f"no prompt of this format has a hole {hole}")

    def context(
        self, files: Mapping[str, str], path: str, repository: str, encode: Callable[[str], list[int]]
    ) -> tuple[list[int], str]:
        raise AssertionError(f"no context for {path} in {repository} of {files}, by {encode}")


def training_formats(tokenizer: TextTokenizer) -> tuple[CausalMaskingFormat | FillInTheMiddleFormat, ...]:
    """Return the formats that a model with this tokenizer is trained in: one, or a family's two orders.

    Raises:
        IncoderError: the vocabulary has no tokens for holes.

    >>> [one.name for one in training_formats(model.tokenizer)]
    ['causal-masking']
    """
    found = choose_format(tokenizer)
    if isinstance(found, CausalMaskingFormat):
        return (found,)
    if not isinstance(found, FillInTheMiddleFormat):
        raise IncoderError(
            "this model cannot infill: its vocabulary has no tokens for holes, so it has no format to be "
            "trained in; name a model that infills (docs/models.md)"
        )
    suffix_first = f"{found.name}-spm"
    if suffix_first in _families_by_name():
        family, _ = _families_by_name()[suffix_first]
        return (found, FillInTheMiddleFormat(tokenizer, family, suffix_first=True))
    return (found,)


def max_num_holes(name: str) -> int:
    """Return the number of holes that a prompt of the format with this name may have; 0 if it has none.

    >>> max_num_holes("none"), max_num_holes("codellama"), max_num_holes("causal-masking")
    (0, 1, 255)
    """
    if name == CausalMaskingFormat.name:
        return NUM_SENTINELS - 1  # the last infill is followed by one more sentinel
    return FillInTheMiddleFormat.max_num_holes if name in _families_by_name() else 0


def format_names() -> list[str]:
    """Return the names that `choose_format` accepts.

    >>> format_names()[:3]
    ['causal-masking', 'codellama', 'deepseek-coder']
    """
    return [CausalMaskingFormat.name, *_families_by_name()]


def choose_format(tokenizer: TextTokenizer, name: str | None = None) -> InfillingFormat:
    """Return the format of this name, by default the one whose tokens the vocabulary has.

    Raises:
        IncoderError: there is no such format, or the vocabulary lacks its tokens.

    >>> choose_format(model.tokenizer).name
    'causal-masking'
    """
    if isinstance(tokenizer, Tokenizer) and name in (None, CausalMaskingFormat.name):
        return CausalMaskingFormat(tokenizer)
    if name is None:
        for family in FAMILIES:
            if all(token in tokenizer.special_ids for token in (*family.tokens, *family.marks)):
                return FillInTheMiddleFormat(tokenizer, family)
        return NoInfillingFormat(tokenizer)
    if name == CausalMaskingFormat.name:
        raise IncoderError(f"the vocabulary has no {END_OF_MASK}, which the infilling format {name} needs")
    if name not in _families_by_name():
        (nearest,) = difflib.get_close_matches(name, format_names(), n=1, cutoff=0)
        raise IncoderError(
            f"there is no infilling format {name!r}, perhaps {nearest}? "
            f"The formats are {', '.join(format_names())}"
        )
    family, suffix_first = _families_by_name()[name]
    return FillInTheMiddleFormat(tokenizer, family, suffix_first=suffix_first)


def read_training_tokenizer(path: Path) -> Tokenizer | FamilyTokenizer:
    """Read the tokenizer in a model's folder, or InCoder's in another form that `Tokenizer.from_file` reads.

    Raises:
        IncoderError: there is no tokenizer, or its kind is unknown.
    """
    return read_tokenizer(path) if (path / "tokenizer.json").is_file() else Tokenizer.from_file(path)


def read_tokenizer(folder: Path) -> Tokenizer | FamilyTokenizer:
    """Read the tokenizer in a model's folder: InCoder's, or another family's.

    Raises:
        IncoderError: there is no tokenizer, or its kind is unknown.
    """
    file = folder / "tokenizer.json"
    if not file.exists() and (folder / "tokenizer.model").exists():
        raise IncoderError(f"{folder} has a tokenizer.model but no tokenizer.json, which is needed")
    text = read_text(file, MAX_JSON_BYTES) if file.exists() else None
    if text is None or f'"{END_OF_MASK}"' in text:
        return Tokenizer.from_file(folder)
    try:
        return FamilyTokenizer(parse_json(text, "the file"), SPECIAL_TOKENS)
    except IncoderError as error:
        raise IncoderError(f"{file} is not a tokenizer.json that can be read: {error}") from error


def _families_by_name() -> dict[str, tuple[Family, bool]]:
    """Families by the names of their formats, each with whether the format has the suffix first."""
    by_name = {family.name: (family, False) for family in FAMILIES}
    return by_name | {f"{family.name}-spm": (family, True) for family in FAMILIES if family.has_spm}
