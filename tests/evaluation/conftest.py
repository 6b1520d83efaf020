"""A model of fixed answers, which remembers what it was asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from incoder.request import InfillRequest
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

    def run(self, request: InfillRequest) -> Answer:
        sampling, prompt = request.sampling, request.prompt
        settings = {
            "max_new_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "stop": sampling.stop,
            "token_healing": prompt.token_healing,
            "path": str(prompt.path),
            "num_candidates": request.num_candidates,
        }
        if len(request.parts) == 1:
            self.asked.append((request.parts[0], settings | {"max_lines": sampling.max_lines}))
            return Answer([Written([text]) for text in self.completions[: request.num_candidates]])
        settings |= {
            "stopping_rules": request.stopping_rules,
            "num_tail_lines": prompt.num_tail_lines,
            "rank_by": request.rank_by,
        }
        self.asked.append((request.parts, settings))
        return Answer([Written(self.infills)])

    def score_texts(self, texts: Sequence[str], *, path: str) -> list[Score]:
        self.asked += [(text, {"path": path}) for text in texts]
        return [Score(text.count(self.favourite), -len(text)) for text in texts]

    def score_infills(
        self, parts: Sequence[str], infills: Sequence[str], *, path: str, token_healing: bool
    ) -> list[Score]:
        settings = {"path": path, "token_healing": token_healing}
        self.asked += [((parts[0], infill, parts[1]), settings) for infill in infills]
        return [Score(infill.count(self.favourite), -len(infill)) for infill in infills]


@pytest.fixture
def scripted_model(tiny_tokenizer: Tokenizer) -> ScriptedModel:
    return ScriptedModel(tiny_tokenizer)
