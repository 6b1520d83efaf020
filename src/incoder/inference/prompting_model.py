"""The calls, checks and prompts that all models share, whatever computes their tokens.

Text and requests in; subclasses answer a request. Reads no files and imports no torch.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import ClassVar, Unpack

from incoder import arguments
from incoder.document import Parts
from incoder.errors import IncoderError
from incoder.inference.prompts.line_endings import as_model_sees
from incoder.inference.prompts.other_files import as_comments, fitting
from incoder.inference.prompts.prompter import Prompter, infill_budget
from incoder.inference.request_state import RequestState
from incoder.inference.text_vocabulary import TextVocabulary
from incoder.infill_defaults import with_infill_defaults
from incoder.model_protocol import Model
from incoder.request import InfillRequest, PromptOptions, parts_of
from incoder.request_settings import RequestSettings, warn_renamed
from incoder.results import InfillResult, OnInfill, OnText, ShownPrompt
from incoder.tags import opening_tag
from incoder.tokenizer.formats import InfillingFormat
from incoder.tokenizer.text_tokenizer import TextTokenizer


class PromptingModel(Model):
    """A model that reads prompts of at most `max_positions` tokens, in the vocabulary's infilling format.

    `infill` writes `num_candidates` unless it is given a number.
    """

    chooses_ends: ClassVar[bool] = True  # compares the places where an infill may end (end_choice.py)
    makes_branches: ClassVar[bool] = True  # candidates may branch off the greedy one (branches.py)

    def __init__(
        self,
        vocabulary: TextVocabulary,
        max_positions: int,
        num_tail_lines: int = 0,
        num_candidates: int = 1,
    ) -> None:
        self.max_positions = max_positions
        self.num_tail_lines = num_tail_lines
        self.num_candidates = num_candidates
        self._text_vocabulary = vocabulary

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer of this model's texts."""
        return self._text_vocabulary.tokenizer

    @property
    def infilling_format(self) -> InfillingFormat:
        """The format in which this model reads the holes of a text."""
        return self._text_vocabulary.layout

    def infill(
        self,
        parts: str | Parts | Sequence[str],
        *,
        on_infill: OnInfill | None = None,
        on_text: OnText | None = None,
        on_fill: OnInfill | None = None,
        **settings: Unpack[RequestSettings],
    ) -> InfillResult:
        """Fill every hole between two parts, or at each `<FILL>` of a string.

        Holes are filled in order, and later ones see the earlier infills. The model reads a window around the
        holes of a long text; the result has the whole text. Infills get the text's line ends. The settings
        are the fields of `SamplingParams`, `PromptOptions` and `InfillRequest`, which explain them.
        `on_infill(done, total)` is called after every infill of every candidate, and `on_text(piece)` with
        the text as it is written.

        For a single hole, `num_candidates` of the model are written unless a number is given: as many as
        measured best for models of its size. At temperature 0, in a beam search, for several holes and with
        `on_text` it is one candidate. Several candidates are ranked by "syntax". The first of them is greedy,
        and the others branch off it, or are drawn if a temperature or a seed is given. With `on_text` all are
        drawn, and ranked by "mean".

        Keys and values stay in the cache: if the next call's prompt has the same prefix, only its other
        tokens are computed.

        Raises:
            IncoderError: no hole, a model that only completes, or a setting outside of its range.
            TypeError: no setting has this name.

        >>> result = model.infill("def mean(xs):\\n    return <FILL>\\n", temperature=0, max_new_tokens=16)
        >>> result.text == "def mean(xs):\\n    return " + result.infills[0] + "\\n"
        True
        """
        if on_fill is not None:
            warn_renamed("on_fill", "on_infill")
            on_infill = on_fill
        texts = parts_of(parts)
        if on_text is None:
            settings = self.infill_settings(settings, len(texts) - 1)
        request = InfillRequest.from_settings(texts, **settings)
        if len(texts) < 2:
            raise IncoderError(
                "nothing to fill: the text has no hole; mark one with <FILL>, or give two parts or more"
            )
        return self.run(request, on_infill=on_infill, on_text=on_text)

    def infill_settings(self, settings: RequestSettings, num_holes: int = 1) -> RequestSettings:
        """Return the settings with the defaults of `infill` for what they leave open (infill_defaults.py).

        >>> model.infill_settings({"temperature": 0})
        {'temperature': 0, 'num_candidates': 1}
        """
        return with_infill_defaults(
            settings, self.num_candidates, num_holes, makes_branches=self.makes_branches
        )

    def complete(
        self, prompt: str, *, on_text: OnText | None = None, **settings: Unpack[RequestSettings]
    ) -> InfillResult:
        """Continue `prompt` left to right, with the settings of `infill`.

        The completion is the only infill of the result, whose `text` is the prompt with it. Unless the
        setting `allows_tags` is true, it ends before the tags of training documents (tags.py) and never
        begins with one.

        Raises:
            IncoderError: a setting outside of its range, or attributes for a model that knows none.
            TypeError: no setting has this name.

        >>> model.complete("def hello(", max_new_tokens=4).text.startswith("def hello(")
        True
        """
        request = InfillRequest.from_settings([arguments.text("prompt", prompt)], **settings)
        return self.run(request, on_text=on_text)

    @abstractmethod
    def run(
        self,
        request: InfillRequest,
        *,
        on_infill: OnInfill | None = None,
        on_text: OnText | None = None,
    ) -> InfillResult:
        """Answer a request. `infill` and `complete` make requests of their arguments."""

    def shown_prompt(self, request: InfillRequest) -> ShownPrompt:
        """Return the text that the model reads before the first infill of this request.

        Raises:
            IncoderError: as `run` says.

        >>> model.shown_prompt(InfillRequest.from_settings("x = <FILL>\\n")).num_tokens > 0
        True
        """
        self._check(request)
        prompter = self._prompter(request.prompt, request.sampling.max_new_tokens)
        return RequestState(prompter, request, chooses_ends=self.chooses_ends).shown_prompt()

    def shown_files(
        self,
        other_files: Mapping[str, str],
        path: str | PurePath | None,
        *,
        max_new_tokens: int = 128,
        repository: str = "project",
    ) -> dict[str, str]:
        """Return the other files, or their beginnings, that `infill` shows before the text at `path`.

        They get half of the context that an infill leaves.

        Raises:
            IncoderError: no path.

        >>> model.shown_files({"b.py": "y = 2\\n"}, "a.py")
        {'b.py': 'y = 2\\n'}
        """
        if path is None:
            raise IncoderError("other_files need a path for the text with the holes")

        def cost(files: Mapping[str, str]) -> int:
            context, header = self._context(files, path, repository)
            return len(context) + len(self.tokenizer.encode(header))

        budget = (self.max_positions - infill_budget(max_new_tokens, self.max_positions)) // 2
        return fitting({name: as_model_sees([text])[0] for name, text in other_files.items()}, budget, cost)

    def check_attributes(self) -> None:
        """Raise unless the model was trained on documents with their attributes.

        Raises:
            IncoderError: it was not.

        >>> model.check_attributes()
        """
        if not self.infilling_format.reads_attributes:
            raise IncoderError("this model was not trained on attributes of files; InCoder's models are")

    def _check_infills(self) -> None:
        if not self.infilling_format.max_num_holes:
            raise IncoderError(
                "the vocabulary of this model has no fill-in-the-middle tokens; it can complete, not infill"
            )

    def _infills_to_score(
        self, parts: str | Parts | Sequence[str], infills: Sequence[str | Sequence[str]]
    ) -> tuple[list[str], list[list[str]]]:
        """Return the parts and the infills of every candidate, as the model sees them.

        Raises:
            IncoderError: no hole, not one text for every hole, or a model that only completes.
        """
        texts = parts_of(parts)
        if isinstance(infills, str):
            raise IncoderError("infills must be a sequence with the infills of each candidate, got a string")
        given = [arguments.texts("infills", [one] if isinstance(one, str) else one) for one in infills]
        if len(texts) < 2:
            raise IncoderError("nothing to score: the text has no hole; mark one with <FILL>")
        for one in given:
            if len(one) != len(texts) - 1:
                raise IncoderError(f"there are {len(texts) - 1} holes, got {len(one)} infills for them")
        self._check_infills()
        return as_model_sees(texts), [as_model_sees(one) for one in given]

    def _check(self, request: InfillRequest) -> None:
        """Raise if the model cannot answer this request."""
        if not request.parts and request.prompt_ids is None:
            raise IncoderError("the request has no text: give it parts or prompt_ids")
        if len(request.parts) > 1:
            self._check_infills()
        self._check_token_ids("logit_bias", request.sampling.logit_bias)
        self._check_token_ids("allowed_first_ids", request.sampling.allowed_first_ids or ())
        self._check_token_ids("prompt_ids", request.prompt_ids or ())
        if request.prompt.attributes:
            self.check_attributes()
        if request.branches and not self.makes_branches:
            raise IncoderError(
                "branches are made by models that run here, and this one runs on another server; leave "
                "branches out, and give a temperature above 0"
            )

    def _check_token_ids(self, name: str, token_ids: Iterable[int]) -> None:
        for token_id in token_ids:
            if not 0 <= token_id < self.tokenizer.vocab_size:
                raise IncoderError(
                    f"{name} is for token ids in [0, {self.tokenizer.vocab_size}), got one for {token_id}"
                )

    def _prompter(self, options: PromptOptions, max_new_tokens: int) -> Prompter:
        header, context = self._header(options.path, options.attributes), list[int]()
        shown: dict[str, str] = {}
        if options.other_files:
            shown = self.shown_files(
                options.other_files,
                options.path,
                max_new_tokens=max_new_tokens,
                repository=options.repository,
            )
            assert options.path is not None
            context, header = self._context(shown, options.path, options.repository)
        chosen = options.num_tail_lines
        return Prompter(
            self._text_vocabulary,
            self.max_positions,
            max_new_tokens,
            header=header,
            context=context,
            num_tail_lines=self.num_tail_lines if chosen is None else chosen,
            marks_tails=self.num_tail_lines > 0,
            token_healing=options.token_healing,
            other_files=list(shown),
        )

    def _before_document(self, path: str | PurePath | None) -> list[int]:
        start = self.infilling_format.document_start_id
        return [*([] if start is None else [start]), *self.tokenizer.encode(self._header(path))]

    def _encode_document(self, text: str) -> list[int]:
        return self.tokenizer.encode_start(*as_model_sees([text]))

    def _header(self, path: str | PurePath | None, attributes: Mapping[str, str] | None = None) -> str:
        return attribute_header(path, attributes) if self.infilling_format.reads_attributes else ""

    def _context(
        self, files: Mapping[str, str], path: str | PurePath, repository: str
    ) -> tuple[list[int], str]:
        """Return the other files before the text at `path`, as tokens and as text after them."""
        path, header = PurePath(path), self._header(path)
        if self.infilling_format.reads_repositories:
            return self.infilling_format.context(files, path.as_posix(), repository, self.tokenizer.encode)
        return [], header + as_comments(files, path)


def attribute_header(path: str | PurePath | None, attributes: Mapping[str, str] | None = None) -> str:
    """Return the tag with a file's language and other attributes, as it begins training documents.

    >>> attribute_header("a.py", {"dstars": "5"})
    '<| file ext=.py dstars=5 |>\\n'
    """
    path = arguments.path("path", path)
    extension = path.suffix if path is not None else ""
    all_attributes = {**({"ext": extension} if extension else {}), **(attributes or {})}
    return opening_tag("file", all_attributes) + "\n" if all_attributes else ""
