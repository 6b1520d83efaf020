"""From a request to its ranked candidates: the generation coroutine of `infill` and `complete`."""

import math
import time
from collections.abc import Callable, Sequence
from itertools import count

from incoder.document import Parts
from incoder.inference.decoding.sampling import random_stream
from incoder.inference.decoding.text_stream import OnText, TextStream
from incoder.inference.infilling import Chain, Infiller, Watch
from incoder.inference.language_model import Generation
from incoder.inference.prompts.line_endings import as_model_sees, line_end, with_line_end
from incoder.request import InfillRequest
from incoder.results import Candidate, InfillResult

OnFill = Callable[[int, int], None]


def candidates(
    infiller: Infiller, request: InfillRequest, on_fill: OnFill | None, on_text: OnText | None
) -> Generation[InfillResult]:
    """Fill the request's holes in every candidate; `on_fill` and `on_text` as `InfillModel.generation` says.

    The time limit counts from the first step.
    """
    chains = [Chain(index, random_stream(request.params.seed, index)) for index in range(request.num_chains)]
    limit = request.params.time_limit
    deadline = math.inf if limit is None else time.monotonic() + limit
    num_done = count(1)

    def report() -> None:
        if on_fill is not None:
            on_fill(next(num_done), len(chains) * request.num_fills)

    watch = Watch(report, _passing_on(on_text), lambda: time.monotonic() > deadline)
    seen = as_model_sees(request.texts)
    if request.params.num_beams > 1:
        chains = yield from infiller.searching(seen, request.num_candidates, watch)
        return InfillResult(tuple(_candidate(request.texts, chain) for chain in chains))
    yield from infiller.filling(seen, chains, watch)
    written = [_candidate(request.texts, chain) for chain in chains]
    values = [one.logprob if request.rank_by == "mean" else one.total_logprob for one in written]
    if request.rank_by == "whole" and len(chains) > 1 and not watch.is_time_up():
        wholes = yield from infiller.judging(seen, chains)
        values = [value + whole for value, whole in zip(values, wholes, strict=True)]
    return InfillResult(tuple(_ranked(written, values)))


def _passing_on(on_text: OnText | None) -> Callable[[Chain, bytes], None] | None:
    """Nothing where nobody looks on: to know which bytes are certain takes time at every token."""
    if on_text is None:
        return None
    texts = TextStream(on_text)
    return lambda chain, data: texts.add(chain.index, len(chain.infills), data)


def _candidate(texts: Sequence[str], chain: Chain) -> Candidate:
    end = line_end(texts)
    infills = tuple(with_line_end(infill, end) for infill in chain.infills)
    joined = Parts(tuple(texts)).join(infills) if len(texts) > 1 else texts[0] + infills[0]
    total = sum(chain.logprobs)
    mean = total / max(1, len(chain.logprobs))  # without a token where the time was up before the first
    return Candidate(joined, infills, mean, total, tuple(chain.finish_reasons))


def _ranked(written: Sequence[Candidate], values: Sequence[float]) -> list[Candidate]:
    """Those with the highest values first, and of those with the same text only that one."""
    order = sorted(range(len(written)), key=values.__getitem__, reverse=True)
    distinct: dict[tuple[str, ...], Candidate] = {}
    for index in order:
        distinct.setdefault(written[index].infills, written[index])
    return list(distinct.values())
