"""Filling a hole left to right: many completions of the prefix, then the one that fits the suffix best.

What the paper compares infilling to (section 4): the model never sees the suffix while it writes, only when
it judges.
"""

from collections.abc import Callable
from operator import attrgetter
from pathlib import PurePath
from typing import Literal

from incoder.inference.infill_model import InfillModel
from incoder.results import Candidate, InfillResult


def infill_by_reranking(
    model: InfillModel,
    prefix: str,
    suffix: str,
    *,
    truncate: Callable[[str], str] = lambda completion: completion,
    num_candidates: int = 10,
    temperature: float = 0.8,
    top_p: float = 0.95,
    max_new_tokens: int = 128,
    seed: int = 0,
    stop: str | tuple[str, ...] = (),
    rank_by: Literal["mean", "total"] = "total",
    path: str | PurePath | None = None,
) -> InfillResult:
    """Complete `prefix`, `truncate` each completion, and rank them by the whole text with the suffix.

    Candidates have the log-probability of the whole text, mean and total; of equal ones there is one.

    Raises:
        IncoderError: a setting outside of its range.
    """
    written = model.complete(
        prefix,
        num_candidates=num_candidates,
        temperature=temperature,
        top_p=top_p,
        max_new_tokens=max_new_tokens,
        seed=seed,
        stop=stop,
        path=path,
    )
    reasons = {truncate(one.infills[0]): one.finish_reasons for one in reversed(written.candidates)}
    texts = [prefix + infill + suffix for infill in reasons]
    scores = model.score_texts(texts, path=path)
    candidates = [
        Candidate(text, (infill,), score.mean_logprob, score.total_logprob, reasons[infill])
        for text, infill, score in zip(texts, reasons, scores, strict=True)
    ]
    key = attrgetter("logprob" if rank_by == "mean" else "total_logprob")
    return InfillResult(tuple(sorted(candidates, key=key, reverse=True)))
