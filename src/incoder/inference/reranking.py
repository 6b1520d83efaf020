"""Filling a hole left to right: many completions of the prefix, then the one that fits the suffix best.

What the paper compares infilling to (section 4): the model never sees the suffix while it writes, only when
it judges.
"""

from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from typing import Unpack

from incoder.model_protocol import Model
from incoder.request import InfillRequest
from incoder.request_settings import RequestSettings
from incoder.results import Candidate, InfillResult


def infill_by_reranking(
    model: Model,
    prefix: str,
    suffix: str,
    *,
    truncate: Callable[[str], str] = lambda completion: completion,
    **settings: Unpack[RequestSettings],
) -> InfillResult:
    """Complete `prefix`, `truncate` each completion, and rank them by the whole text with the suffix.

    By default ten candidates are drawn at the paper's temperature, 0.8. They have the log-probability of the
    whole text, mean and total, and are ranked by the total unless `rank_by` is "mean"; of equal ones there is
    one.

    Raises:
        IncoderError: a setting outside of its range.
    """
    drawn: RequestSettings = {"num_candidates": 10, "temperature": 0.8, "rank_by": "total"}
    drawn.update(settings)
    request = InfillRequest.from_settings([prefix], **drawn)
    written = model.run(replace(request, rank_by="mean"))
    reasons = {truncate(one.infills[0]): one.finish_reasons for one in reversed(written.candidates)}
    texts = [prefix + infill + suffix for infill in reasons]
    scores = model.score_texts(texts, path=request.prompt.path)
    candidates = [
        Candidate(text, (infill,), score.mean_logprob, score.total_logprob, reasons[infill])
        for text, infill, score in zip(texts, reasons, scores, strict=True)
    ]
    key = attrgetter("logprob" if request.rank_by == "mean" else "total_logprob")
    return InfillResult(tuple(sorted(candidates, key=key, reverse=True)))
