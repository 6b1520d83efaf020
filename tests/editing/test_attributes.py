from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest

from incoder.editing.attributes import VALUES, predict_attribute
from incoder.request import InfillRequest

Script = Callable[..., Any]


@dataclass
class Likes:
    """Finds texts with its favourite value twice as probable as others."""

    favourite: str

    def score_texts(self, texts: Sequence[str]) -> list[Any]:
        self.texts = list(texts)
        return [type("S", (), {"total_logprob": 0.6931472 * (self.favourite in text)}) for text in texts]


def test_the_values_are_compared_behind_the_text() -> None:
    model = Likes("=.sh ")
    found = predict_attribute(cast(Any, model), "echo hello\n", "ext", InfillRequest())
    assert found[0].value == ".sh"
    assert found[0].probability == pytest.approx(2 / (len(VALUES["ext"]) + 1))
    assert sum(one.probability or 0 for one in found) == pytest.approx(1)
    assert "<| file |>\necho hello\n\n<|/ file ext=.py |>" in model.texts


def test_names_are_written_and_equal_ones_count_once(scripted: Script) -> None:
    model = scripted(["setup.py |>", '"my file.py" |>', "setup.py |>\n", " |>"])
    found = predict_attribute(model, "x\n", "filename", InfillRequest())
    assert [one.value for one in found] == ["setup.py", "my file.py"]
    assert model.asked == [["<| file |>\nx\n\n<|/ file filename="]]
