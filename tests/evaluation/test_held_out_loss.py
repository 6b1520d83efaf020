"""The loss of a model on texts: by token, by byte, by language."""

import math
from pathlib import PurePath
from typing import Any

import pytest

from incoder.errors import IncoderError
from incoder.evaluation.held_out_loss import HeldOut, measure_loss
from incoder.results import Score


class Even:
    """Finds each character half as probable as certain: one bit for each, two tokens for each "#"."""

    def score(self, text: str, *, path: str | PurePath | None = None) -> Score:
        assert path is not None
        return Score((-math.log(2),) * (len(text) + text.count("#")))


EVEN: Any = Even()  # scores only


def texts(*contents: str, language: str = "python") -> list[HeldOut]:
    return [HeldOut(text, f"{number}.py", language, f"g{number}") for number, text in enumerate(contents)]


def test_the_loss_is_over_all_tokens_and_all_bytes() -> None:
    found = measure_loss(EVEN, texts("abcd", "ab##", ""))
    assert (found["num_texts"], found["num_tokens"], found["num_bytes"]) == (2, 10, 8)
    assert found["loss"] == pytest.approx(math.log(2))
    assert found["perplexity"] == pytest.approx(2)
    assert found["bits_per_byte"] == pytest.approx(10 / 8)
    assert found["bits_per_byte_interval"] is None
    assert found["bits_per_byte_interval_missing"] == "2 problems; an interval needs at least 5"


def test_languages_are_apart_and_bytes_are_those_of_utf_8() -> None:
    found = measure_loss(EVEN, [*texts("abcd"), *texts("é", language="go")])
    assert found["languages"]["go"]["bits_per_byte"] == pytest.approx(1 / 2)
    assert found["languages"]["python"]["bits_per_byte"] == pytest.approx(1)
    assert found["bits_per_byte"] == pytest.approx(5 / 6)


def test_the_interval_is_of_whole_groups() -> None:
    contents = ["ab", "##", "ab", "##", "ab", "##"]
    found = measure_loss(EVEN, texts(*contents))
    low, high = found["bits_per_byte_interval"]
    assert found["bits_per_byte"] == pytest.approx(1.5)
    assert 1 <= low < 1.5 < high <= 2


def test_no_text_is_an_error() -> None:
    with pytest.raises(IncoderError, match="no text to measure the loss on"):
        measure_loss(EVEN, texts("", ""))
