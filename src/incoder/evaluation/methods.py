"""How a model answers a task: both sides in view, the left side only, or the best of many left ones.

Knows a model only as something that infills, completes and scores; the same weights answer by every method,
so that differences are the method's.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol

from incoder.evaluation.benchmark import INFILL, INFILL_RERANK, LEFT_TO_RIGHT, RERANK, Prompt, Task
from incoder.evaluation.multiple_choice import Scorer, most_probable
from incoder.inference.decoding.stopping_rules.stopping import EdgeRule

RankBy = Literal["mean", "total", "whole"]


@dataclass(frozen=True, slots=True)
class Decoding:
    """How answers are drawn; temperature 0 is greedy.

    A benchmark judges what the model wrote, so by default no `edge_rules` end its infills. `num_lead_lines`
    None means the number that the model was trained with (inference/prompts/prefix_tail.py). The answer is
    the best of `num_candidates` by `rank_by`.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 0.95
    seed: int = 0
    heal_tokens: bool = True
    edge_rules: tuple[EdgeRule, ...] = ()
    num_lead_lines: int | None = None
    num_candidates: int = 1
    rank_by: RankBy = "mean"

    @property
    def sampling(self) -> dict[str, Any]:
        """The settings that both ways of writing take."""
        settings = asdict(self)
        for name in ("edge_rules", "num_lead_lines", "num_candidates", "rank_by"):
            del settings[name]
        return settings


class Written(Protocol):
    """One way to fill the holes, or to go on."""

    @property
    def infills(self) -> Sequence[str]: ...


class Answer(Protocol):
    """What a model gives back, the best candidate first."""

    @property
    def infills(self) -> Sequence[str]: ...

    @property
    def candidates(self) -> Sequence[Written]: ...


class Model(Scorer, Protocol):
    """The part of a loaded model that is used here."""

    def infill(
        self,
        parts: Sequence[str],
        *,
        path: str,
        stop: Sequence[str],
        temperature: float,
        top_p: float,
        max_new_tokens: int,
        seed: int,
        heal_tokens: bool,
        num_candidates: int,
        rank_by: RankBy,
        edge_rules: Sequence[EdgeRule],
        num_lead_lines: int | None,
    ) -> Answer: ...

    def complete(
        self,
        prompt: str,
        *,
        path: str,
        stop: Sequence[str],
        temperature: float,
        top_p: float,
        max_new_tokens: int,
        seed: int,
        heal_tokens: bool,
        num_candidates: int = 1,
        max_lines: int | None = None,
    ) -> Answer: ...


def answer(task: Task, method: str, model: Model, decoding: Decoding, sample: int = 0) -> str:
    """The completion of one task; samples, counted from 0, differ by their seeds."""
    decoding = replace(decoding, seed=decoding.seed + sample)
    if task.choices:
        return most_probable(task, method, model)
    if method == LEFT_TO_RIGHT:
        decoding = replace(decoding, num_candidates=1)
    if method in (INFILL, INFILL_RERANK):
        filled = _infill(task.prompt_for(INFILL), model, decoding)
        return task.completion(filled.infills, INFILL)
    prompt = task.prompt_for(method)
    written = _complete(prompt, model, decoding, task.max_lines)
    completions = list(dict.fromkeys(task.completion(one.infills, method) for one in written.candidates))
    if method == RERANK and len(completions) > 1:
        return _best(task, completions, model, decoding.rank_by)
    return completions[0]


def _infill(prompt: Prompt, model: Model, decoding: Decoding) -> Answer:
    return model.infill(
        prompt.parts,
        path=prompt.path,
        stop=prompt.stop,
        num_candidates=decoding.num_candidates,
        rank_by=decoding.rank_by,
        edge_rules=decoding.edge_rules,
        num_lead_lines=decoding.num_lead_lines,
        **decoding.sampling,
    )


def _complete(prompt: Prompt, model: Model, decoding: Decoding, max_lines: int | None) -> Answer:
    return model.complete(
        prompt.parts[0],
        path=prompt.path,
        stop=prompt.stop,
        num_candidates=decoding.num_candidates,
        max_lines=max_lines,
        **decoding.sampling,
    )


def _best(task: Task, completions: Sequence[str], model: Model, rank_by: RankBy) -> str:
    """The completion with which the whole text is most probable (paper, section 4)."""
    texts = [task.full_text(completion) for completion in completions]
    scores = model.score_texts(texts, path=task.prompt_for(RERANK).path)
    values = [score.total_logprob if rank_by == "total" else score.mean_logprob for score in scores]
    return completions[values.index(max(values))]
