"""How a model answers a task: both sides in view, the left side only, or the best of many left ones.

Sees a model as a Protocol; the same weights answer by every method, so that differences are the method's.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

from incoder.evaluation.benchmark import INFILL, INFILL_RERANK, LEFT_TO_RIGHT, RERANK, Prompt, Task
from incoder.evaluation.multiple_choice import TokenizedModel, most_probable
from incoder.request import InfillRequest
from incoder.request_settings import RankBy, RequestSettings
from incoder.results import InfillResult


def benchmark_request(**settings: Unpack[RequestSettings]) -> InfillRequest:
    """A request template whose answers a benchmark judges: by default greedy and without stopping rules.

    The rules end infills for users; a benchmark judges what the model wrote.
    """
    judged: RequestSettings = {"temperature": 0.0, "stopping_rules": ()}
    judged.update(settings)
    return InfillRequest.from_settings(**judged)


def described(template: InfillRequest) -> dict[str, Any]:
    """The settings of a template by which a run's completions differ from another's, for JSON."""
    sampling, prompt = template.sampling, template.prompt
    return {
        "max_new_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "token_healing": prompt.token_healing,
        "stopping_rules": template.stopping_rules,
        "num_tail_lines": prompt.num_tail_lines,
        "num_candidates": template.num_candidates,
        "rank_by": template.rank_by,
        "greedy_first": template.greedy_first,
        "branches": template.branches,
    }


def answer(task: Task, method: str, model: TokenizedModel, template: InfillRequest, sample: int = 0) -> str:
    """The completion of one task; samples, counted from 0, differ by their seeds."""
    sampling = replace(template.sampling, seed=template.sampling.seed + sample)
    template = replace(template, sampling=sampling)
    if task.choices:
        return most_probable(task, method, model)
    if method == LEFT_TO_RIGHT:
        template = replace(template, num_candidates=1)
    if method in (INFILL, INFILL_RERANK):
        prompt = task.prompt_for(INFILL)
        filled = model.run(template.for_parts(prompt.parts, stop=prompt.stop, path=prompt.path))
        return task.completion(filled.infills, INFILL)
    written = _complete(task.prompt_for(method), model, template, task.max_lines)
    completions = list(dict.fromkeys(task.completion(one.infills, method) for one in written.candidates))
    if method == RERANK and len(completions) > 1:
        return _best(task, completions, model, template.rank_by)
    return completions[0]


def _complete(
    prompt: Prompt, model: TokenizedModel, template: InfillRequest, max_lines: int | None
) -> InfillResult:
    request = template.for_parts(prompt.parts[:1], stop=prompt.stop, path=prompt.path)
    sampling = replace(request.sampling, max_lines=max_lines)
    return model.run(replace(request, sampling=sampling, rank_by="mean"))


def _best(task: Task, completions: Sequence[str], model: TokenizedModel, rank_by: RankBy) -> str:
    """The completion with which the whole text is most probable (paper, section 4)."""
    texts = [task.full_text(completion) for completion in completions]
    scores = model.score_texts(texts, path=task.prompt_for(RERANK).path)
    values = [score.total_logprob if rank_by == "total" else score.mean_logprob for score in scores]
    return completions[values.index(max(values))]
