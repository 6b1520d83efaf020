"""Where an infill inside a line ends: at the best of the places that the rules permit."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from incoder.inference.end_choice import EndChoice, best_places
from incoder.inference.infill_model import InfillModel
from incoder.request_settings import ALL_STOPPING_RULES
from incoder.results import TextPiece
from incoder.tokenizer.tokenizer import Tokenizer

SETTINGS: dict[str, Any] = {"temperature": 0, "max_new_tokens": 12, "token_healing": False}


class Bytes:
    """Writes a full text as its bytes."""

    end_id = 0

    def full_texts(self, texts: Sequence[str], infills: Sequence[Sequence[str]]) -> list[list[int]]:
        return [[1, *(texts[0] + one + texts[1]).encode()] for (one,) in infills]


BYTES: Any = Bytes()


class Judge:
    """Writes `written` into every hole, and knows one document, which it finds probable left to right."""

    def __init__(self, tokenizer: Tokenizer, written: Sequence[str], document: str) -> None:
        self._tokenizer = tokenizer
        self._written = [one.encode() for one in written]
        self._document = document.encode()

    def __call__(self, token_ids: list[int]) -> Tensor:
        tokenizer = self._tokenizer
        logits_V = torch.zeros(tokenizer.vocab_size)
        pieces: list[list[int]] = [[]]
        for token_id in token_ids:
            if token_id in tokenizer.sentinel_ids or token_id == tokenizer.end_of_mask_id:
                pieces.append([])
            else:
                pieces[-1].append(token_id)
        so_far = tokenizer.decode_bytes(pieces[-1])
        answers = self._written if len(pieces) > 1 else [self._document]
        for answer in answers:
            if answer.startswith(so_far):
                following = tokenizer.encode_bytes(answer[len(so_far) :])
                logits_V[following[0] if following else tokenizer.end_of_mask_id] += 20.0
                break
        return logits_V


@pytest.fixture
def judge(
    reading_again: Callable[[Judge, int], InfillModel], tiny_tokenizer: Tokenizer
) -> Callable[..., InfillModel]:
    return lambda written, document: reading_again(Judge(tiny_tokenizer, [written], document), 512)


@pytest.mark.parametrize(
    ("prefix", "written", "suffix", "expected"),
    [
        ("x = ", "to xs", "tal(y)\n", "to"),
        ("x = ", "sum + 1\n", "(y)\n", "sum"),
        ("x = ", "sum", "(y)\n", "sum"),
        ("x = f(", "é, ö", ", b)\n", "é"),
    ],
)
def test_an_infill_ends_where_the_text_goes_on_best(
    judge: Callable[..., InfillModel], prefix: str, written: str, suffix: str, expected: str
) -> None:
    model = judge(written, prefix + expected + suffix)
    found = model.infill([prefix, suffix], **SETTINGS).candidates[0]
    assert found.infills == (expected,)
    without = [rule for rule in ALL_STOPPING_RULES if rule != "ends"]
    first_line = written.partition("\n")[0]
    assert model.infill([prefix, suffix], stopping_rules=without, **SETTINGS).infills == (first_line,)


def test_a_streamed_infill_is_not_shortened_afterwards(judge: Callable[..., InfillModel]) -> None:
    model = judge("sum - 1", "x = sum(y)\n")
    pieces: list[TextPiece] = []
    found = model.infill(["x = ", "(y)\n"], on_text=pieces.append, **SETTINGS)
    assert found.infills == ("".join(piece.text for piece in pieces),) == ("sum - 1",)


def test_at_the_end_of_a_line_nothing_is_tried(judge: Callable[..., InfillModel]) -> None:
    model = judge("sums", "x = sum\n")
    assert model.infill(["x = ", "\n"], **SETTINGS).infills == ("sums",)
    assert len(model.language_model.opened) == 1  # type: ignore[attr-defined]


def test_the_next_hole_sees_the_shortened_infill(
    judge: Callable[..., InfillModel], tiny_tokenizer: Tokenizer
) -> None:
    model = judge("sum - 1", "x = sum(y) + sum(z)\n")
    found = model.infill(["x = ", "(y) + ", "(z)\n"], **SETTINGS)
    assert found.infills == ("sum", "sum")
    special = set(tiny_tokenizer.special_ids.values())
    row = model.language_model.opened[0].rows[0]  # type: ignore[attr-defined]
    read = tiny_tokenizer.decode_bytes([one for one in row if one not in special])
    assert read.startswith(b"x = (y) + (z)\nsum")
    assert b"- 1" not in read.partition(b"\n")[2][:5]


def test_each_candidate_ends_at_its_own_place() -> None:
    """The rows are scored by a table: the text "ab." is probable, and "abc" even more."""
    values = {"ab.": -11.0, "abc.": -10.5}

    choices = [EndChoice(b"abcd", [1, 2, 3, 4], 4), EndChoice(b"abd", [1, 2, 3], 3), EndChoice(b"x", [1], 1)]
    choosing = best_places(BYTES, "", ".", choices)
    asked = next(choosing)
    assert (
        len(asked.token_ids) == len({tuple(row) for row in asked.token_ids}) == 6
    )  # a, ab, abc, abcd, abd, x
    totals = [[values.get(bytes(row[1:]).decode(), -29.0)] for row in asked.token_ids]
    with pytest.raises(StopIteration) as end:
        choosing.send(totals)
    assert end.value.value == [3, 2, 1]


@pytest.mark.parametrize(("margin", "expected"), [(11.0, 4), (13.0, 2)])
def test_another_place_must_be_much_better_than_the_one_where_an_infill_ended(
    margin: float, expected: int
) -> None:
    choosing = best_places(BYTES, "", "", [EndChoice(b"abcd", [2, 4], ended=4)])
    next(choosing)
    with pytest.raises(StopIteration) as end:
        choosing.send([[-1.0], [-1.0 - margin]])
    assert end.value.value == [expected]


def test_an_end_that_the_model_was_not_expected_to_find_counts_like_other_places() -> None:
    choosing = best_places(BYTES, "", "", [EndChoice(b"abcd", [2, 4], ended=4, trust=0.0)])
    next(choosing)
    with pytest.raises(StopIteration) as end:
        choosing.send([[-1.0], [-1.5]])
    assert end.value.value == [2]
