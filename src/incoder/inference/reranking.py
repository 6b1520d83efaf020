"""Infilling by left-to-right reranking: completions of the prefix, ranked by how well the suffix follows.

The paper compares infilling with this baseline (section 4): the model sees the suffix only when it scores a
completion, not while it writes.
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

    By default ten candidates are sampled at the paper's temperature, 0.8. They have the mean and total
    log-probability of the whole text, and are ranked by the total unless `rank_by` is "mean". Equal
    candidates are kept once.

    Raises:
        IncoderError: a setting outside of its range.

    >>> result = infill_by_reranking(model, "x = ", "\\n", num_candidates=2, max_new_tokens=2)
    >>> result.text.startswith("x = ")
    True
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
