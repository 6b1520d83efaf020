"""The decoding settings of `incoder eval`: from its options, or those of `incoder fill` without options."""

import inspect
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import typer

from incoder.cli import options
from incoder.cli.fill import fill
from incoder.evaluation.benchmark import INFILL, INFILL_RERANK, LEFT_TO_RIGHT, RERANK, Benchmark
from incoder.inference.decoding.stopping_rules.stopping import ALL_EDGE_RULES

if TYPE_CHECKING:
    from incoder.evaluation.methods import Decoding

RULES = f"[{'|'.join(ALL_EDGE_RULES)}]"
_RERANKING_TEMPERATURE = 0.8  # the paper's (section 4.1)


@dataclass(frozen=True, slots=True)
class DecodingOptions:
    """The options on the command line; None for an option that is not there."""

    max_new_tokens: int | None
    temperature: float | None
    top_p: float | None
    seed: int
    heal: bool | None
    edges: bool | None
    edge_rule: tuple[str, ...]
    lead_lines: int | None
    num_candidates: int | None
    rank_by: str | None

    def decoding(self, benchmark: Benchmark, method: str, *, defaults: bool) -> "Decoding":
        """The settings of a run.

        Raises:
            typer.BadParameter: a value is out of range, or does not go with the method.
        """
        decoding = self._as_fill(method) if defaults else self._chosen(benchmark, method)
        options.sampling_params(
            None,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            max_new_tokens=decoding.max_new_tokens,
            seed=decoding.seed,
        )
        return decoding

    def _chosen(self, benchmark: Benchmark, method: str) -> "Decoding":
        from incoder.evaluation.methods import Decoding

        is_rerank = method in (RERANK, INFILL_RERANK)
        rank_by: Any = self.rank_by or {INFILL_RERANK: "whole", RERANK: benchmark.rank_by}.get(method, "mean")
        if method in (RERANK, LEFT_TO_RIGHT) and rank_by == "whole":
            raise typer.BadParameter("--rank-by whole is for infills; left to right ranks by mean or total")
        unknown = [rule for rule in self.edge_rule if rule not in ALL_EDGE_RULES]
        if unknown:
            raise typer.BadParameter(
                f"--edge-rule must be one of {', '.join(ALL_EDGE_RULES)}, got {unknown[0]}"
            )
        if self.edges and self.edge_rule:
            raise typer.BadParameter("--edges chooses all rules, --edge-rule some of them; give only one")
        chosen = ALL_EDGE_RULES if self.edges else self.edge_rule
        num_candidates = benchmark.num_candidates if is_rerank else 1
        return Decoding(
            self.max_new_tokens or benchmark.max_new_tokens,
            temperature=_RERANKING_TEMPERATURE * is_rerank if self.temperature is None else self.temperature,
            top_p=0.95 if self.top_p is None else self.top_p,
            seed=self.seed,
            heal_tokens=self.heal is not False,
            edge_rules=tuple(rule for rule in ALL_EDGE_RULES if rule in chosen),
            num_lead_lines=self.lead_lines,
            num_candidates=self.num_candidates or num_candidates,
            rank_by=rank_by,
        )

    def _as_fill(self, method: str) -> "Decoding":
        if method != INFILL:
            raise typer.BadParameter(
                f"--defaults needs --method infill, which is how incoder fill works; got {method}"
            )
        given = [name for name, value in asdict(self).items() if name != "seed" and value not in (None, ())]
        if given:
            flag = given[0].replace("_", "-")
            raise typer.BadParameter(f"--defaults uses the settings of incoder fill; leave out --{flag}")
        return replace(fill_defaults(), seed=self.seed)


def fill_defaults() -> "Decoding":
    """The settings of `incoder fill` without options, read from the command's signature."""
    from incoder.evaluation.methods import Decoding

    defaults = {name: one.default for name, one in inspect.signature(fill).parameters.items()}
    return Decoding(
        defaults["max_new_tokens"],
        temperature=defaults["temperature"],
        top_p=defaults["top_p"],
        seed=defaults["seed"],
        heal_tokens=defaults["heal"],
        edge_rules=ALL_EDGE_RULES if defaults["edges"] else (),
        num_lead_lines=defaults["lead_lines"],
        num_candidates=defaults["num_candidates"],
        rank_by=defaults["rank_by"],
    )


def described(decoding: "Decoding") -> str:
    """The settings in one line for people."""
    lead = "as trained" if decoding.num_lead_lines is None else str(decoding.num_lead_lines)
    settings = [
        "greedy" if decoding.temperature == 0 else f"temperature {decoding.temperature:g}",
        *([] if decoding.temperature == 0 else [f"top_p {decoding.top_p:g}"]),
        f"at most {decoding.max_new_tokens} tokens",
        f"token healing {'on' if decoding.heal_tokens else 'off'}",
        f"stopping rules {', '.join(decoding.edge_rules) or 'none'}",
        f"lead lines {lead}",
        *(
            []
            if decoding.num_candidates == 1
            else [f"the best of {decoding.num_candidates} by {decoding.rank_by}"]
        ),
        f"seed {decoding.seed}",
    ]
    return ", ".join(settings)
