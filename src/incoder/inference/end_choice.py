"""The choice among the places where an infill inside a line may end: after the best one the text goes on.

A model that saw few infills end inside a line ends them badly, but it is a good judge of its own text. Read
left to right, the text around the hole is most probable with the infill that ends in the right place. Nothing
is written anew. The function yields rows of tokens to score, as in scored_rows.py. Imports no torch.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from incoder.inference.prompts.prompter import Prompter
from incoder.inference.scored_rows import Logprobs, Rows, full_text_rows

_BEFORE, _AFTER = 400, 48  # characters around the hole that are read
# Nats by which another place must be better than the one where the model or a rule ended an infill: of 30
# infills of projects that mini is not measured on, 12 of 16 wrong ends were mended, and none of 14 right ones
# was lost. With 0 it is 15 and one.
TRUST = 12.0


@dataclass(frozen=True, slots=True)
class EndChoice:
    """What was written into a hole, after how many bytes it may end, and after how many it `ended`.

    If the model was not expected to end it there, the `trust` in that end is 0 nats.
    """

    written: bytes
    places: Sequence[int]
    ended: int
    trust: float = TRUST

    def texts(self) -> dict[int, str]:
        """Return the infill that ends at each place."""
        return {place: self.written[:place].decode("utf-8", "replace") for place in self.places}


def best_places(
    prompter: Prompter, before: str, after: str, choices: Sequence[EndChoice]
) -> Generator[Rows, Logprobs, list[int]]:
    """Return for each infill the place after which the text around the hole goes on best.

    `before` and `after` are the texts on either side of the hole.
    """
    texts = list(dict.fromkeys(text for one in choices for text in one.texts().values()))
    near = [_end(before), _beginning(after)]
    found = yield from full_text_rows(prompter, near, [[text] for text in texts])
    values = dict(zip(texts, found, strict=True))
    best = []
    for one in choices:
        by_place = {
            place: values[text] + one.trust * (place == one.ended) for place, text in one.texts().items()
        }
        best.append(max(by_place, key=by_place.__getitem__))
    return best


def _end(before: str) -> str:
    """Return the last lines of the text before the hole."""
    end = before[-_BEFORE:]
    return end if len(end) == len(before) else end.partition("\n")[2] or end


def _beginning(after: str) -> str:
    """Return the rest of the hole's line, or as much of the text after the hole if the rest is short."""
    rest = after[: after.find("\n") + 1 or len(after)]
    return rest[: 4 * _AFTER] if len(rest) > _AFTER else after[:_AFTER]
