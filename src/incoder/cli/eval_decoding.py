"""The decoding settings of `incoder eval`: from its options, or the defaults of `incoder fill`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, get_args

import typer

from incoder.errors import IncoderError
from incoder.evaluation.benchmark import INFILL, INFILL_RERANK, LEFT_TO_RIGHT, RERANK, Benchmark
from incoder.evaluation.methods import benchmark_request
from incoder.infill_defaults import with_infill_defaults
from incoder.request import InfillRequest
from incoder.request_settings import ALL_STOPPING_RULES, RankBy, RequestSettings, StoppingRule

if TYPE_CHECKING:
    from incoder.inference.prompting_model import PromptingModel

OPTIONS: Final = (
    *("num_candidates", "rank_by", "max_new_tokens", "temperature", "top_p", "seed"),
    *("token_healing", "num_tail_lines", "stopping_rules"),
)
RULES = f"[{'|'.join(ALL_STOPPING_RULES)}]"
_RERANKING_TEMPERATURE = 0.8  # the paper's (section 4.1)


def shown_defaults(benchmark: Benchmark) -> Mapping[str, str]:
    """Return the defaults of the options as help shows them."""
    return {
        "num_candidates": f"1; {benchmark.num_candidates} for reranking",
        "rank_by": f"mean; full-text for infill-rerank, {benchmark.rank_by} for rerank",
        "max_new_tokens": str(benchmark.max_new_tokens),
        "temperature": f"0; {_RERANKING_TEMPERATURE} for reranking",
        "top_p": str(InfillRequest().sampling.top_p),
        "seed": "0",
        "token_healing": "token-healing",
        "stopping_rules": "no-stopping-rules",
    }


def decoding_of(
    settings: RequestSettings, rules: Sequence[str], benchmark: Benchmark, method: str, *, defaults: bool
) -> InfillRequest:
    """Return the request template of a run: the given options, or the `defaults` of `incoder fill`.

    With `defaults` it is what fill does with one candidate; `as_fill` has what it does with the model.

    Raises:
        typer.BadParameter: a value is out of range, or does not go with the method.
    """
    if defaults:
        return _checked_defaults(settings, rules, method)
    is_rerank = method in (RERANK, INFILL_RERANK)
    usual: Mapping[str, RankBy] = {INFILL_RERANK: "full-text", RERANK: benchmark.rank_by}
    rank_by = settings.get("rank_by", usual.get(method, "mean"))
    if method in (RERANK, LEFT_TO_RIGHT) and rank_by == "full-text":
        raise typer.BadParameter("--rank-by full-text is for infills; left to right ranks by mean or total")
    unknown = [rule for rule in rules if rule not in get_args(StoppingRule)]
    if unknown:
        raise typer.BadParameter(
            f"--stopping-rule must be one of {', '.join(ALL_STOPPING_RULES)}, got {unknown[0]}"
        )
    if settings.get("stopping_rules") and rules:
        raise typer.BadParameter(
            "--stopping-rules chooses all rules, --stopping-rule some of them; give only one"
        )
    chosen: RequestSettings = {
        "max_new_tokens": benchmark.max_new_tokens,
        "temperature": _RERANKING_TEMPERATURE * is_rerank,
        "num_candidates": benchmark.num_candidates if is_rerank else 1,
        "rank_by": rank_by,
    }
    if rules:
        settings["stopping_rules"] = [rule for rule in ALL_STOPPING_RULES if rule in rules]
    chosen.update(settings)
    try:
        return benchmark_request(**chosen)
    except IncoderError as error:
        raise typer.BadParameter(str(error)) from error


def as_fill(seed: int | None, model: "PromptingModel | None" = None) -> InfillRequest:
    """Return what `incoder fill` does with this model without options, but for a seed.

    Without a model it is one candidate.
    """
    given: RequestSettings = {} if seed is None else {"seed": seed}
    settings = with_infill_defaults(given, 1) if model is None else model.infill_settings(given)
    return InfillRequest.from_settings(**settings)


def _checked_defaults(settings: RequestSettings, rules: Sequence[str], method: str) -> InfillRequest:
    if method != INFILL:
        raise typer.BadParameter(
            f"--defaults needs --method infill, which is how incoder fill works; got {method}"
        )
    given = [*(name for name in settings if name != "seed"), *(["stopping_rule"] if rules else [])]
    if given:
        flag = given[0].replace("_", "-")
        raise typer.BadParameter(f"--defaults uses the settings of incoder fill; leave out --{flag}")
    return as_fill(settings.get("seed"))


def in_words(template: InfillRequest) -> str:
    """Return the settings in one line for people."""
    sampling, prompt = template.sampling, template.prompt
    tail = "as trained" if prompt.num_tail_lines is None else str(prompt.num_tail_lines)
    is_greedy = template.branches or sampling.temperature == 0
    settings = [
        "greedy" if is_greedy else f"temperature {sampling.temperature:g}",
        *([] if is_greedy else [f"top_p {sampling.top_p:g}"]),
        f"at most {sampling.max_new_tokens} tokens",
        f"token healing {'on' if prompt.token_healing else 'off'}",
        f"stopping rules {', '.join(template.stopping_rules) or 'none'}",
        f"tail lines {tail}",
        *([] if template.num_candidates == 1 else [_candidates_in_words(template)]),
        f"seed {sampling.seed}",
    ]
    return ", ".join(settings)


def _candidates_in_words(template: InfillRequest) -> str:
    which = " (a greedy one and its branches)" if template.branches else ""
    return f"the best of {template.num_candidates}{which} by {template.rank_by}"
