"""Guesses at the next tokens: what stood after the same ones before, on either side of the hole or in a fill.

A guess costs little to check, since a model reads a few tokens in nearly the time of one, and saves a step
for each token that is right (prompt lookup decoding, as in Hugging Face's `prompt_lookup_num_tokens`). Where
guesses are mostly wrong there are fewer of them, and then none for longer and longer. Knows no model.
"""

from collections.abc import Collection, Iterable

_NGRAMS = (3, 2)  # tokens that must be the same; the longer first
_MAX_GUESS = 7  # with the token before them 8: so many rows a product for few rows takes (row_products.py)
_FIRST_GUESS = 3
_MAX_PAUSE = 128  # tokens


class Guesser:
    """Remembers the tokens of one sequence, its prompt first; never guesses one of `never`."""

    def __init__(self, token_ids: Iterable[int], never: Collection[int] = ()) -> None:
        self._token_ids: list[int] = []
        self._place_after: dict[tuple[int, ...], int] = {}
        self._never = never
        self._length = _FIRST_GUESS
        self._pause = 0  # tokens until the next guess
        self._next_pause = 2
        for token_id in token_ids:
            self._add(token_id)

    def add(self, token_id: int) -> None:
        """The sequence has one more token."""
        self._add(token_id)
        self._pause = max(0, self._pause - 1)

    def guess(self, max_num_tokens: int) -> list[int]:
        """The tokens that may come next; none where there is nothing to go by, or it has not paid."""
        length = min(self._length, max_num_tokens)
        if self._pause or length < 1:
            return []
        for size in _NGRAMS:
            place = self._place_after.get(tuple(self._token_ids[-size:]))
            if place is not None:
                guess = self._token_ids[place : place + length]
                stop = next((i for i, token_id in enumerate(guess) if token_id in self._never), length)
                return guess[:stop]
        return []

    def learn(self, num_guessed: int, num_right: int) -> None:
        """How many of the tokens guessed last were right, up to the first wrong one."""
        if num_right == num_guessed:
            self._length = min(2 * self._length, _MAX_GUESS)
        else:
            self._length = max(1, min(self._length, num_right + 1))
        if num_right:
            self._next_pause = 2
        else:
            self._pause = self._next_pause
            self._next_pause = min(2 * self._next_pause, _MAX_PAUSE)

    def _add(self, token_id: int) -> None:
        place = len(self._token_ids)
        for size in _NGRAMS:
            if place >= size:
                self._place_after[tuple(self._token_ids[place - size :])] = place
        self._token_ids.append(token_id)
