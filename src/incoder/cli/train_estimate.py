"""`incoder train --estimate`: what a run will need, as a table or as JSON; nothing is trained."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from incoder.cli.console import notes, print_note, result_console, write_result

if TYPE_CHECKING:
    from incoder.training.estimate import Estimate
    from incoder.training.recipe import TrainingRecipe

_PAPERS_VOCABULARY = 50_518


def print_estimate(
    recipe: "TrainingRecipe",
    *,
    gpu: str,
    num_gpus: int,
    network_gbit_per_second: float | None,
    as_json: bool,
) -> None:
    """Print the estimate of a recipe's run on a cluster.

    Raises:
        IncoderError: the table has no such GPU, or a number is out of range.
    """
    from incoder.training.estimate import Cluster, estimate, network_config
    from incoder.training.gpus import gpu_named

    shard_size = recipe.parallel.shard_size
    num_shards = num_gpus if shard_size == "all" else min(shard_size, num_gpus)
    cluster = Cluster(gpu_named(gpu), num_gpus, num_shards, network_gbit_per_second)
    estimated = estimate(recipe, network_config(recipe, _vocab_size(recipe)), cluster)
    if as_json:
        write_result(json.dumps(_as_json(estimated)) + "\n")
    else:
        _print_tables(estimated)


def _vocab_size(recipe: "TrainingRecipe") -> int:
    from incoder.model.checkpoint import load_config
    from incoder.tokenizer.tokenizer import Tokenizer

    if (start := recipe.model.start_folder) is not None:
        return load_config(start).vocab_size
    if not recipe.tokenizer_path.exists():
        print_note(
            f"{recipe.tokenizer} is not there yet; the estimate is for the paper's vocabulary of "
            f"{_PAPERS_VOCABULARY:,} entries"
        )
        return _PAPERS_VOCABULARY
    return Tokenizer.from_file(recipe.tokenizer_path).vocab_size


def _as_json(estimated: "Estimate") -> dict[str, object]:
    cluster, traffic = estimated.cluster, estimated.traffic
    return {
        "num_parameters": estimated.num_parameters,
        "gpu": cluster.gpu.name,
        "num_gpus": cluster.num_gpus,
        "num_machines": cluster.num_machines,
        "shard_size": cluster.shard_size,
        "memory": {
            "moment": estimated.memory.moment,
            "parts": estimated.memory.parts,
            "total": estimated.memory_bytes,
            "available": cluster.gpu.memory_bytes,
            "fits": estimated.fits,
        },
        "total_tokens": estimated.total_tokens,
        "tokens_per_second": estimated.tokens_per_second,
        "assumed_share_of_peak": estimated.share_of_peak,
        "days": estimated.days,
        "traffic": {**asdict(traffic), "is_hidden": traffic.is_hidden},
        "smallest_num_gpus": estimated.smallest and estimated.smallest[0],
        "smallest_needs": list(estimated.smallest[1]) if estimated.smallest else [],
        "advice": list(estimated.advice),
    }


def _print_tables(estimated: "Estimate") -> None:
    from rich.table import Table

    from incoder.training.estimate import gib
    from incoder.training.memory import RESERVE_BYTES

    cluster = estimated.cluster
    machines = f" in {cluster.num_machines} machines" if cluster.num_machines > 1 else ""
    console = result_console(soft_wrap=True)
    console.print(
        f"{estimated.num_parameters / 1e9:.3g} billion weights on {cluster.num_gpus} × {cluster.gpu.name}"
        f"{machines} (estimated, nothing was run)",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False)
    table.add_column(f"memory of each GPU, fullest in the {estimated.memory.moment}")
    table.add_column("GiB", justify="right")
    reserve = {"CUDA, NCCL, fragmentation": RESERVE_BYTES}
    for part, size in (estimated.memory.parts | reserve).items():
        table.add_row(part, f"{size / 2**30:.1f}")
    table.add_section()
    fits = "fits" if estimated.fits else "DOES NOT FIT"
    table.add_row(f"in all, of {cluster.gpu.memory_gib:.1f}: {fits}", f"{estimated.memory_bytes / 2**30:.1f}")
    console.print(table)
    for line in (*_speed_lines(estimated), *estimated.advice):
        console.print(line, markup=False, highlight=False)
    if not estimated.fits:
        notes.print(f"this run needs {gib(estimated.memory_bytes)} on each GPU", markup=False)


def _speed_lines(estimated: "Estimate") -> list[str]:
    cluster, traffic = estimated.cluster, estimated.traffic
    lines = [
        f"{estimated.tokens_per_second:,.0f} tokens/s "
        f"({estimated.tokens_per_second / cluster.num_gpus:,.0f} a GPU), if it reaches "
        f"{estimated.share_of_peak:.0%} of the GPU's peak",
        f"{_duration(estimated.days)} for {estimated.total_tokens / 1e9:,.3g} billion tokens",
    ]
    if cluster.num_gpus > 1:
        hidden = "hidden by computing" if traffic.is_hidden else "NOT hidden by computing"
        lines.append(
            f"each GPU moves {traffic.bytes_per_micro_batch / 1e9:.1f} GB a micro-batch: "
            f"{traffic.seconds_per_micro_batch:.2f} s beside "
            f"{traffic.compute_seconds_per_micro_batch:.2f} s of computing, {hidden}"
        )
    if estimated.smallest is None:
        return [*lines, f"it fits on no number of GPUs with the memory of a {cluster.gpu.name}"]
    num_gpus, settings = estimated.smallest
    needs = "".join(f" --set {setting}" for setting in settings)
    return [
        *lines,
        f"the smallest cluster that fits: {num_gpus} × {cluster.gpu.name}{needs and ' with' + needs}",
    ]


def _duration(days: float) -> str:
    """A duration in the unit that suits it.

    >>> _duration(2.25), _duration(0.25), _duration(0.001)
    ('2.2 days', '6.0 hours', '1.4 minutes')
    """
    if days >= 2:
        return f"{days:.1f} days"
    if days >= 1 / 24:
        return f"{days * 24:.1f} hours"
    return f"{days * 24 * 60:.1f} minutes"
