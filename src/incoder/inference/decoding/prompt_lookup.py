"""Prompt lookup: drafts the tokens that followed the same tokens earlier, in the prompt or an infill.

A model verifies a draft of a few tokens in nearly the time of one token, and each accepted token saves a step
(as Hugging Face's `prompt_lookup_num_tokens`). An edit is mostly a copy with some names changed, so after a
difference from its source the text is expected to continue the source a few tokens later. If drafts are
mostly rejected, they become shorter, with longer and longer pauses between them. Knows no model.
"""

from collections.abc import Callable, Collection, Iterable

_NGRAMS = (3, 2)  # numbers of tokens that must match, the longer first
_MAX_DRAFT = 7  # with the last token 8 rows, the most that GEMV multiplies (gemv.py)
_FIRST_DRAFT = 3
_FIRST_PAUSE = 1  # tokens
_MAX_PAUSE = 128
_MAX_APART = 8  # consecutive tokens that may differ from the source before it is given up


class PromptLookup:
    """Drafts from the tokens of one sequence, its prompt first; never drafts one of `never`.

    If the sequence itself suggests nothing, the draft is `other_draft(max_num_tokens)`.

    >>> lookup = PromptLookup([1, 2, 3, 4, 1, 2])
    >>> lookup.draft(max_num_tokens=2)
    [3, 4]
    """

    def __init__(
        self,
        token_ids: Iterable[int],
        never: Collection[int] = (),
        other_draft: Callable[[int], list[int]] = lambda _: [],
    ) -> None:
        self._other_draft = other_draft
        self._token_ids: list[int] = []
        self._place_after: dict[tuple[int, ...], int] = {}
        self._never = never
        self._length = _FIRST_DRAFT
        self._pause = 0  # tokens until the next draft
        self._next_pause = _FIRST_PAUSE
        self._source: int | None = None  # the place of the source's next token, if the text copies a source
        self._num_apart = 0  # tokens since the text last agreed with its source
        for token_id in token_ids:
            self._add(token_id)

    def add(self, token_id: int) -> None:
        """Append a token of the sequence."""
        self._follow(token_id)
        self._add(token_id)
        self._pause = max(0, self._pause - 1)

    def draft(self, max_num_tokens: int) -> list[int]:
        """Return the likely next tokens; empty without a match, or in a pause after rejected drafts."""
        length = min(self._length, max_num_tokens)
        if self._pause or length < 1:
            return []
        place = self._likely_place()
        if place is None:
            draft = self._other_draft(length)
        else:
            self._source, self._num_apart = place, 0
            draft = self._token_ids[place : place + length]
        stop = next((i for i, token_id in enumerate(draft) if token_id in self._never), len(draft))
        return draft[:stop]

    def observe(self, num_drafted: int, num_accepted: int) -> None:
        """Adapt the length of drafts to the number of accepted tokens of the last one."""
        if num_accepted == num_drafted:
            self._length = min(2 * self._length, _MAX_DRAFT)
        else:
            self._length = max(1, min(self._length, num_accepted + 1))
        if num_accepted:
            self._next_pause = _FIRST_PAUSE
        else:
            self._pause = self._next_pause
            self._next_pause = min(2 * self._next_pause, _MAX_PAUSE)

    def _likely_place(self) -> int | None:
        """Return the place after the same three tokens, else of the source's next token, else after two."""
        is_copy = self._source is not None and self._num_apart == 0
        for size in _NGRAMS:
            place = self._place_after.get(tuple(self._token_ids[-size:]))
            if place is not None:
                return place
            if is_copy:
                return self._source
        return None

    def _follow(self, token_id: int) -> None:
        if self._source is None:
            return
        ahead = self._token_ids[self._source : self._source + _MAX_APART]
        if token_id in ahead:
            self._source += 1 + ahead.index(token_id)
            self._num_apart = 0
        else:
            self._num_apart += 1
            if self._num_apart > _MAX_APART:
                self._source = None

    def _add(self, token_id: int) -> None:
        place = len(self._token_ids)
        for size in _NGRAMS:
            if place >= size:
                self._place_after[tuple(self._token_ids[place - size :])] = place
        self._token_ids.append(token_id)
