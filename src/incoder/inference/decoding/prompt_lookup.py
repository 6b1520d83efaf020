"""Guesses at the next tokens: what stood after the same ones before, on either side of the hole or in a fill.

A guess costs little to check, since a model reads a few tokens in nearly the time of one, and saves a step
for each token that is right (prompt lookup decoding, as in Hugging Face's `prompt_lookup_num_tokens`). An
edit is mostly a copy with a name changed here and there: where the text has left what it was copied from, it
is expected back a little further on. Where guesses are mostly wrong there are fewer of them, and then none
for longer and longer. Knows no model.
"""

from collections.abc import Collection, Iterable

_NGRAMS = (3, 2)  # tokens that must be the same; the longer first
_MAX_GUESS = 7  # with the token before them 8: so many rows a product for few rows takes (gemv.py)
_FIRST_GUESS = 3
_FIRST_PAUSE = 1  # tokens
_MAX_PAUSE = 128
_MAX_APART = 8  # tokens that a copy may leave out, put in or change before it is one no more


class Guesser:
    """Remembers the tokens of one sequence, its prompt first; never guesses one of `never`."""

    def __init__(self, token_ids: Iterable[int], never: Collection[int] = ()) -> None:
        self._token_ids: list[int] = []
        self._place_after: dict[tuple[int, ...], int] = {}
        self._never = never
        self._length = _FIRST_GUESS
        self._pause = 0  # tokens until the next guess
        self._next_pause = _FIRST_PAUSE
        self._source: int | None = None  # the place whose token comes next, if what was guessed is a copy
        self._num_apart = 0  # tokens since the copy and its source were last the same
        for token_id in token_ids:
            self._add(token_id)

    def add(self, token_id: int) -> None:
        """The sequence has one more token."""
        self._follow(token_id)
        self._add(token_id)
        self._pause = max(0, self._pause - 1)

    def guess(self, max_num_tokens: int) -> list[int]:
        """The tokens that may come next; none where there is nothing to go by, or it has not paid."""
        length = min(self._length, max_num_tokens)
        if self._pause or length < 1:
            return []
        place = self._likely_place()
        if place is None:
            return []
        self._source, self._num_apart = place, 0
        guess = self._token_ids[place : place + length]
        stop = next((i for i, token_id in enumerate(guess) if token_id in self._never), len(guess))
        return guess[:stop]

    def learn(self, num_guessed: int, num_right: int) -> None:
        """How many of the tokens guessed last were right, up to the first wrong one."""
        if num_right == num_guessed:
            self._length = min(2 * self._length, _MAX_GUESS)
        else:
            self._length = max(1, min(self._length, num_right + 1))
        if num_right:
            self._next_pause = _FIRST_PAUSE
        else:
            self._pause = self._next_pause
            self._next_pause = min(2 * self._next_pause, _MAX_PAUSE)

    def _likely_place(self) -> int | None:
        """After the same three tokens, or where a copy goes on, or after the same two."""
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
