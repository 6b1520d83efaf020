"""Fill-in-the-middle, the infilling format of other families: one hole, its infill written after both sides.

Token ids in, token ids out. A family is one entry of `FAMILIES`: the names of its tokens, and their order (P
is the prefix, S the suffix, M the middle):

    PSM    begin PREFIX prefix SUFFIX suffix MIDDLE → infill END
    SPM    begin PREFIX SUFFIX suffix MIDDLE prefix → infill END    (a variant of Code Llama and StarCoder)
    SPM    begin SUFFIX suffix PREFIX prefix MIDDLE → infill END    (the only order if `suffix_leads`)

Several holes are filled one after the other: the caller appends each infill to the next prefix. Knows no
model, and no text but file names.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from incoder.errors import IncoderError
from incoder.tokenizer.text_tokenizer import TextTokenizer


@dataclass(frozen=True, slots=True)
class Family:
    """The tokens of one family's format, by name.

    `ends` end an infill and a completion; tokens that the vocabulary lacks are ignored, and the first one
    that it has ends a document. `repository` precedes the name of a repository, `file` each of its files. If
    `path_in_prefix`, the path of the file with the hole follows the prefix's token. If `suffix_leads`, the
    suffix and its token come first. `marks` are further tokens that the vocabulary must have for the family
    to be recognised; they tell it from a family with the same tokens in another order.
    """

    name: str
    prefix: str
    suffix: str
    middle: str | None
    ends: tuple[str, ...]
    begin: str | None = None
    has_spm: bool = False
    repository: str | None = None
    file: str | None = None
    path_in_prefix: bool = False
    suffix_leads: bool = False
    marks: tuple[str, ...] = ()

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens that a vocabulary needs for this format."""
        tokens = (self.prefix, self.suffix, self.middle, self.begin)
        return tuple(token for token in tokens if token is not None)


FAMILIES = (
    # Rozière et al., arXiv 2308.12950, and infilling_prompt_tokens of facebookresearch/codellama.
    Family(
        "codellama",
        prefix="▁<PRE>",
        suffix="▁<SUF>",
        middle="▁<MID>",
        begin="<s>",
        ends=("▁<EOT>", "</s>"),
        has_spm=True,
    ),
    # Guo et al., arXiv 2401.14196; its tokenizer begins every text with the begin token.
    Family(
        "deepseek-coder",
        prefix="<｜fim▁begin｜>",
        suffix="<｜fim▁hole｜>",
        middle="<｜fim▁end｜>",
        begin="<｜begin▁of▁sentence｜>",
        ends=("<｜end▁of▁sentence｜>", "<|EOT|>"),
    ),
    # Hui et al., arXiv 2409.12186, and the examples of QwenLM/Qwen2.5-Coder.
    Family(
        "qwen2.5-coder",
        prefix="<|fim_prefix|>",
        suffix="<|fim_suffix|>",
        middle="<|fim_middle|>",
        ends=(
            *("<|endoftext|>", "<|file_sep|>", "<|repo_name|>", "<|fim_pad|>"),
            *("<|fim_prefix|>", "<|fim_suffix|>", "<|im_end|>"),  # its examples end at all of these
        ),
        repository="<|repo_name|>",
        file="<|file_sep|>",
    ),
    # The examples on the model card of JetBrains/Mellum-4b-base. Before StarCoder, which has the same tokens.
    Family(
        "mellum",
        prefix="<fim_prefix>",
        suffix="<fim_suffix>",
        middle="<fim_middle>",
        ends=("<|endoftext|>", "<filename>", "<|im_end|>"),
        file="<filename>",
        suffix_leads=True,
        marks=("<filename>", "<|im_start|>"),
    ),
    # Lozhkov et al., arXiv 2402.19173, section 5.1; StarCoder has other tokens for repositories.
    Family(
        "starcoder",
        prefix="<fim_prefix>",
        suffix="<fim_suffix>",
        middle="<fim_middle>",
        ends=("<|endoftext|>", "<file_sep>"),
        has_spm=True,
        repository="<repo_name>",
        file="<file_sep>",
        path_in_prefix=True,
    ),
    # ByteDance Seed, arXiv 2506.03524, section on fill-in-the-middle.
    Family(
        "seed-coder",
        prefix="<[fim-prefix]>",
        suffix="<[fim-suffix]>",
        middle="<[fim-middle]>",
        ends=("<[end▁of▁sentence]>",),
        suffix_leads=True,
    ),
    # mistralai/cookbook, concept-deep-dive/tokenization: <s>[SUFFIX]suffix[PREFIX] prefix; SentencePiece puts
    # the space there. The vocabulary has a [MIDDLE] that the format does not use.
    Family(
        "codestral",
        prefix="[PREFIX]",
        suffix="[SUFFIX]",
        middle=None,
        begin="<s>",
        ends=("</s>",),
        suffix_leads=True,
    ),
)


class FillInTheMiddleFormat:
    """A family's format with the ids of one tokenizer.

    Raises:
        IncoderError: the vocabulary lacks one of its tokens.
    """

    max_num_holes = 1
    reads_attributes = False

    def __init__(self, tokenizer: TextTokenizer, family: Family, *, suffix_first: bool = False) -> None:
        ids = tokenizer.special_ids
        missing = [token for token in family.tokens if token not in ids]
        if missing:
            raise IncoderError(
                f"the vocabulary has no {missing[0]}, which the infilling format {family.name} needs"
            )
        self.name = f"{family.name}-spm" if suffix_first else family.name
        self._family = family
        self._suffix_first = suffix_first
        # If the tokenizer's file says how a text begins (GGUF files do), it has the last word.
        begin = [ids[family.begin]] if family.begin else []
        self._begin = begin if tokenizer.start_ids is None else list(tokenizer.start_ids)
        self._prefix, self._suffix = ids[family.prefix], ids[family.suffix]
        self._middle = [] if family.middle is None else [ids[family.middle]]
        self._repository = ids.get(family.repository or "")
        self._file = ids.get(family.file or "")
        self.end_of_infill_ids, self.never_generated_ids = ends_and_unspelled(tokenizer, family.ends)
        ends = [ids[token] for token in family.ends if token in ids]
        if not ends:
            raise IncoderError(f"the vocabulary has no {family.ends[0]}, so no infill would ever end")
        self.end_of_infill_id = ends[0]
        self.document_start_id = self._begin[0] if self._begin else None

    @property
    def reads_repositories(self) -> bool:
        """Whether the family has a format for whole repositories, and the vocabulary has its tokens."""
        return self._file is not None and (self._family.repository is None or self._repository is not None)

    def prompt(self, parts: Sequence[Sequence[int]], *, is_start: bool = True) -> list[int]:
        """Return the prompt for the hole between two parts, or for completing a single part.

        These models were trained without a sign of a document's start, so `is_start` changes nothing. If the
        prompt would be empty, it is the token that ends a document: a new document begins after it.

        Raises:
            IncoderError: more than one hole.
        """
        del is_start
        if len(parts) > 2:
            raise IncoderError(f"{self.name} fills one hole at a time, got {len(parts) - 1}")
        if len(parts) < 2:
            return [*self._begin, *parts[0]] or [self.end_of_infill_id]
        prefix, suffix = parts
        if self._family.suffix_leads:
            return [*self._begin, self._suffix, *suffix, self._prefix, *prefix, *self._middle]
        if self._suffix_first:
            return [*self._begin, self._prefix, self._suffix, *suffix, *self._middle, *prefix]
        return [*self._begin, self._prefix, *prefix, self._suffix, *suffix, *self._middle]

    def ignored_in_loss(self, token_ids: NDArray[np.integer]) -> NDArray[np.bool_]:
        """True at the tokens that mark the parts: training does not teach a model to write them."""
        return np.isin(token_ids, [*self._begin, self._prefix, self._suffix, *self._middle])

    def hole_start(self, hole: int) -> list[int]:
        """Return nothing: the prompt ends where its only infill begins."""
        assert hole == 0
        return []

    def context(
        self, files: Mapping[str, str], path: str, repository: str, encode: Callable[[str], list[int]]
    ) -> tuple[list[int], str]:
        """Format other files of the repository, by path, as the context before the prompt for `path`.

        Returns their ids, and the text that the prefix must begin with.
        """
        assert self._file is not None
        family_ends_lines = not self._family.path_in_prefix  # Qwen's examples do, StarCoder2's do not
        token_ids = list[int]()
        if self._repository is not None:
            token_ids += [self._repository, *encode(repository + "\n" * family_ends_lines)]
        for name, text in files.items():
            end = "\n" if family_ends_lines and not text.endswith("\n") else ""
            token_ids += [self._file, *encode(f"{name}\n{text}{end}")]
        token_ids.append(self._file)
        if self._family.path_in_prefix:
            return token_ids, f"{path}\n"
        return token_ids + encode(f"{path}\n"), ""


def ends_and_unspelled(
    tokenizer: TextTokenizer, end_names: Sequence[str]
) -> tuple[frozenset[int], frozenset[int]]:
    """Return the ids of the tokens with these names, and all other ids that have no bytes."""
    ends = frozenset(tokenizer.special_ids[name] for name in end_names if name in tokenizer.special_ids)
    unspelled = {i for i in range(tokenizer.vocab_size) if not tokenizer.token_bytes(i)}
    return ends, frozenset(unspelled - ends)
