"""A model of fixed answers, which remembers what it was asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from incoder.tokenizer.tokenizer import Tokenizer


@dataclass
class Written:
    infills: Sequence[str]


@dataclass
class Answer:
    candidates: Sequence[Written]

    @property
    def infills(self) -> Sequence[str]:
        return self.candidates[0].infills


@dataclass
class Score:
    total_logprob: float
    mean_logprob: float


@dataclass
class ScriptedModel:
    """Scores a text higher the more often the `favourite` is in it, and by token the shorter it is."""

    tokenizer: Tokenizer
    infills: Sequence[str] = ("fill",)
    completions: Sequence[str] = ("more",)
    favourite: str = "favourite"
    asked: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)

    def infill(self, parts: Sequence[str], **settings: Any) -> Answer:
        self.asked.append((tuple(parts), settings))
        return Answer([Written(self.infills)])

    def complete(self, prompt: str, **settings: Any) -> Answer:
        self.asked.append((prompt, settings))
        return Answer([Written([text]) for text in self.completions[: settings["num_candidates"]]])

    def score_texts(self, texts: Sequence[str], *, path: str) -> list[Score]:
        self.asked += [(text, {"path": path}) for text in texts]
        return [Score(text.count(self.favourite), -len(text)) for text in texts]

    def score_infills(
        self, parts: Sequence[str], infills: Sequence[str], *, path: str, heal_tokens: bool
    ) -> list[Score]:
        settings = {"path": path, "heal_tokens": heal_tokens}
        self.asked += [((parts[0], infill, parts[1]), settings) for infill in infills]
        return [Score(infill.count(self.favourite), -len(infill)) for infill in infills]


@pytest.fixture
def scripted_model(tiny_tokenizer: Tokenizer) -> ScriptedModel:
    return ScriptedModel(tiny_tokenizer)
