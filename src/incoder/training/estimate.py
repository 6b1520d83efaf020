"""What a run will need, before it is started: memory, tokens a second, days, traffic, the smallest cluster.

Formulae turn a recipe, the network's configuration and a GPU of the table into an `Estimate`. No GPU is
used and nothing is allocated. Memory is in memory.py; the speeds are derived from the shares of peak that
published runs report, and docs/cluster.md says which figures were measured.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from incoder.errors import IncoderError
from incoder.model.checkpoint import load_config
from incoder.model.transformer import TransformerConfig
from incoder.training.first_model import fresh_config
from incoder.training.gpus import Gpu
from incoder.training.memory import (
    RESERVE_BYTES,
    Load,
    Memory,
    Network,
    gradient_bytes,
    memory_needed,
    state_bytes,
)
from incoder.training.recipe import Phase, TrainingRecipe

# The share of the GPU's peak that a step reaches, by (compiled, activations recomputed). torchtitan reports
# 33 to 39 % and nanochat 41 to 46 % with compilation, on networks of a billion weights and more.
_SHARE_OF_PEAK = {(True, False): 0.37, (True, True): 0.29, (False, False): 0.27, (False, True): 0.21}
_BACKWARD_SHARE = 2 / 3  # of a step's operations
_MOST_GPUS = 4096  # in the largest cluster that is tried


@dataclass(frozen=True, slots=True)
class Cluster:
    """The GPUs of a run. The weights are divided among `shard_size` of them: all, or one machine's (HSDP)."""

    gpu: Gpu
    num_gpus: int
    shard_size: int
    network_gbit_per_second: float | None = None  # None is the usual one of the GPU's machines

    def __post_init__(self) -> None:
        if not 1 <= self.num_gpus <= _MOST_GPUS:
            raise IncoderError(f"the number of GPUs must be in 1 … {_MOST_GPUS}, got {self.num_gpus}")
        if self.shard_size < 1 or self.num_gpus % self.shard_size:
            raise IncoderError(
                f"parallel.shard_size must divide the number of GPUs ({self.num_gpus}), got {self.shard_size}"
            )
        if self.network_gbit_per_second is not None and not self.network_gbit_per_second > 0:
            raise IncoderError(f"the network's Gbit/s must be positive, got {self.network_gbit_per_second:g}")

    @property
    def num_machines(self) -> int:
        return -(-self.num_gpus // self.gpu.per_machine)

    @property
    def num_replicas(self) -> int:
        return self.num_gpus // self.shard_size

    def shard_bandwidth(self) -> float:
        """Bytes a second that each GPU moves within its shard group."""
        within = self.gpu.link_bytes_per_second()
        if self.shard_size <= self.gpu.per_machine:
            return within
        return min(within, self.network_bandwidth())

    def network_bandwidth(self) -> float:
        """Bytes a second that a machine moves to others."""
        return self.gpu.network_bytes_per_second(self.network_gbit_per_second)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What each GPU sends and receives, and whether it overlaps fully with computation."""

    bytes_per_micro_batch: float  # gathered weights and reduced gradients, in the shard group
    seconds_per_micro_batch: float
    compute_seconds_per_micro_batch: float
    bytes_between_machines_per_step: float  # gradients between replicas (HSDP), of each machine
    seconds_between_machines: float

    @property
    def is_hidden(self) -> bool:
        backward = _BACKWARD_SHARE * self.compute_seconds_per_micro_batch
        return (
            self.seconds_per_micro_batch <= self.compute_seconds_per_micro_batch
            and self.seconds_between_machines <= backward
        )

    def seconds_per_step(self, num_micro_batches: int) -> float:
        slower = max(self.compute_seconds_per_micro_batch, self.seconds_per_micro_batch)
        backward = _BACKWARD_SHARE * self.compute_seconds_per_micro_batch
        return num_micro_batches * slower + max(0.0, self.seconds_between_machines - backward)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimate of a run. Memory is one GPU's; `traffic` is that of the phase with the longest window."""

    num_parameters: int
    cluster: Cluster
    memory: Memory
    total_tokens: int
    tokens_per_second: float
    share_of_peak: float
    traffic: Traffic
    smallest: tuple[int, tuple[str, ...]] | None  # the fewest GPUs that fit, and the overrides that it needs
    advice: tuple[str, ...]

    @property
    def memory_bytes(self) -> int:
        """What one GPU needs, with the reserve of CUDA, NCCL and fragmentation."""
        return self.memory.total + RESERVE_BYTES

    @property
    def fits(self) -> bool:
        return self.memory_bytes <= self.cluster.gpu.memory_bytes

    @property
    def days(self) -> float:
        return self.total_tokens / self.tokens_per_second / 86_400


def network_config(recipe: TrainingRecipe, vocab_size: int) -> TransformerConfig:
    """Return the configuration of the network that a recipe trains.

    Raises:
        IncoderError: the folder to start from holds no model, or sizes do not match each other.
    """
    if recipe.model.start_folder is not None:
        return load_config(recipe.model.start_folder)
    return fresh_config(recipe, vocab_size)


def estimate(recipe: TrainingRecipe, config: TransformerConfig, cluster: Cluster) -> Estimate:
    """Estimate the run of a recipe on a cluster.

    Raises:
        IncoderError: a number is out of range.
    """
    network = Network(config)
    phase = max(recipe.training.phases, key=lambda phase: phase.window)
    seconds = {one: _seconds_per_step(recipe, network, cluster, one) for one in recipe.training.phases}
    shares = _shares(recipe)
    steps, tokens_per_step = recipe.training.steps, recipe.training.tokens_per_step
    return Estimate(
        num_parameters=network.num_parameters,
        cluster=cluster,
        memory=_memory(recipe, network, cluster),
        total_tokens=steps * tokens_per_step,
        tokens_per_second=tokens_per_step / sum(shares[one] * seconds[one] for one in seconds),
        share_of_peak=_share_of_peak(recipe),
        traffic=_traffic(recipe, network, cluster, phase),
        smallest=next(_clusters_that_fit(recipe, network, cluster), None),
        advice=tuple(_advice(recipe, network, cluster)),
    )


def fits(recipe: TrainingRecipe, config: TransformerConfig, *, num_shards: int, memory_bytes: int) -> bool:
    """Whether a run fits into the memory of each GPU by estimate, with the reserve of CUDA and NCCL."""
    network = Network(config)
    loads = _loads(recipe, num_gpus=num_shards, shard_size=num_shards)
    return all(memory_needed(network, load).total + RESERVE_BYTES <= memory_bytes for load in loads)


def refuse_what_cannot_fit(
    recipe: TrainingRecipe,
    config: TransformerConfig,
    *,
    num_shards: int,
    memory_bytes: int,
    on_note: Callable[[str], None] = lambda _: None,
) -> None:
    """Raise before anything is allocated if the weights and their optimizer alone exceed the memory.

    The size of these is certain. That of activations is an estimate: if only they exceed the memory,
    `on_note` is called with a warning. `memory_bytes` is the memory for one process.

    Raises:
        IncoderError: the run cannot fit; the message names the size, the memory and the remedy.
    """
    network = Network(config)
    load = next(_loads(recipe, num_gpus=num_shards, shard_size=num_shards))
    state = sum(state_bytes(network, load).values()) + gradient_bytes(network, load)
    if state > memory_bytes:
        needed = -(-state * num_shards // max(1, memory_bytes - RESERVE_BYTES))
        more = f"train on at least {needed} GPUs of this size, or " if memory_bytes > RESERVE_BYTES else ""
        raise IncoderError(
            f"weights, gradients and optimizer of {network.num_parameters / 1e9:.2f} billion weights take "
            f"{gib(state)} in each process, and {gib(memory_bytes)} are there; {more}train a smaller model"
        )
    if not fits(recipe, config, num_shards=num_shards, memory_bytes=memory_bytes):
        on_note(
            f"warning: by estimate this run does not fit into the {gib(memory_bytes)} of each process; if "
            "it fails, see `incoder train RECIPE --estimate` for what would"
        )


def memory_for_process(device: torch.device, num_processes: int) -> int:
    """Return the bytes of a GPU, or of this machine's memory divided among its processes."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // num_processes


def gib(size: float) -> str:
    """Return a size in GiB, as a text.

    >>> gib(3 * 2**29)
    '1.5 GiB'
    """
    return f"{size / 2**30:.1f} GiB"


def _shares(recipe: TrainingRecipe) -> dict[Phase, float]:
    """The share of the steps that each phase has."""
    ends = [0.0, *(phase.until for phase in recipe.training.phases)]
    return {phase: phase.until - start for phase, start in zip(recipe.training.phases, ends, strict=False)}


def _loads(recipe: TrainingRecipe, *, num_gpus: int, shard_size: int) -> Iterator[Load]:
    """The load of one GPU in each phase; without `rows_per_micro_batch` it computes its rows at once."""
    training = recipe.training
    for phase in training.phases:
        yield _load(recipe, phase, num_gpus=num_gpus, shard_size=shard_size)


def _load(recipe: TrainingRecipe, phase: Phase, *, num_gpus: int, shard_size: int) -> Load:
    training = recipe.training
    rows = max(1, -(-(training.tokens_per_step // phase.window) // num_gpus))
    at_once = min(rows, training.rows_per_micro_batch or rows)
    return Load(
        num_shards=shard_size,
        rows=at_once,
        window=phase.window,
        num_micro_batches=-(-rows // at_once),
        precision="fp32" if training.precision == "fp32" else "bf16",
        optimizer=recipe.optimizer.name,
        checkpoint_activations=training.activation_checkpointing,
        reshard=recipe.parallel.reshard,
        has_average=recipe.optimizer.average_decay is not None,
        adapter_rank=None if recipe.adapter is None else recipe.adapter.rank,
    )


def _memory(recipe: TrainingRecipe, network: Network, cluster: Cluster) -> Memory:
    loads = _loads(recipe, num_gpus=cluster.num_gpus, shard_size=cluster.shard_size)
    needs = [memory_needed(network, _on(load, cluster.gpu)) for load in loads]
    return max(needs, key=lambda need: need.total)


def _on(load: Load, gpu: Gpu) -> Load:
    return load if gpu.bf16_tflops else replace(load, precision="fp32")


def _share_of_peak(recipe: TrainingRecipe) -> float:
    return _SHARE_OF_PEAK[recipe.training.compile, recipe.training.activation_checkpointing]


def _traffic(recipe: TrainingRecipe, network: Network, cluster: Cluster, phase: Phase) -> Traffic:
    load = _on(_load(recipe, phase, num_gpus=cluster.num_gpus, shard_size=cluster.shard_size), cluster.gpu)
    speed = cluster.gpu.peak_flops(bf16=load.precision == "bf16") * _share_of_peak(recipe)
    compute = load.num_tokens * network.flops_per_token(load.window, load.adapter_rank) / speed
    # Gathers before forward and backward pass, and a reduction of gradients in float32.
    gathers = 2 if load.reshard else 1
    moved = (gathers * load.item_bytes + 4) * network.num_parameters * _others(cluster.shard_size)
    between = 8 * network.num_parameters * _others(cluster.num_replicas)
    return Traffic(
        bytes_per_micro_batch=moved,
        seconds_per_micro_batch=moved / cluster.shard_bandwidth(),
        compute_seconds_per_micro_batch=compute,
        bytes_between_machines_per_step=between,
        seconds_between_machines=between / cluster.network_bandwidth(),
    )


def _others(group: int) -> float:
    """The share of a whole that a GPU of a group does not have itself."""
    return (group - 1) / group


def _seconds_per_step(recipe: TrainingRecipe, network: Network, cluster: Cluster, phase: Phase) -> float:
    load = _load(recipe, phase, num_gpus=cluster.num_gpus, shard_size=cluster.shard_size)
    return _traffic(recipe, network, cluster, phase).seconds_per_step(load.num_micro_batches)


def _clusters_that_fit(
    recipe: TrainingRecipe, network: Network, cluster: Cluster
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Numbers of GPUs that the weights fit on, the smallest first, with the settings that this needs."""
    machine = cluster.gpu.per_machine
    numbers = [1 << power for power in range(machine.bit_length()) if 1 << power < machine]
    for num_gpus in (*numbers, *range(machine, _MOST_GPUS + 1, machine)):
        candidate = replace(cluster, num_gpus=num_gpus, shard_size=num_gpus)
        if _fits_on(recipe, network, candidate):
            yield num_gpus, ()
        else:
            yield from ((num_gpus, names) for names in _settings_that_fit(recipe, network, candidate))


def _fits_on(recipe: TrainingRecipe, network: Network, cluster: Cluster) -> bool:
    return _memory(recipe, network, cluster).total + RESERVE_BYTES <= cluster.gpu.memory_bytes


def _advice(recipe: TrainingRecipe, network: Network, cluster: Cluster) -> Iterator[str]:
    """Sentences about settings that would make the run fit, or faster."""
    training = recipe.training
    if not _fits_on(recipe, network, cluster):
        fitting = next(_settings_that_fit(recipe, network, cluster), None)
        yield (
            f"it fits with --set {' --set '.join(fitting)}"
            if fitting
            else "no size of micro-batch makes it fit on these GPUs: the weights need more of them"
        )
    num_rows = training.tokens_per_step // max(phase.window for phase in training.phases)
    if num_rows < cluster.num_gpus:
        yield (
            f"a step has {num_rows} rows, so {cluster.num_gpus - num_rows} of {cluster.num_gpus} GPUs "
            "compute nothing; raise training.tokens_per_step, or take fewer GPUs"
        )
    elif num_rows % cluster.num_gpus:
        yield (
            f"the {num_rows} rows of a step do not divide among {cluster.num_gpus} GPUs, so some of them "
            "wait for others at the end of each step"
        )
    if not cluster.gpu.bf16_tflops:
        yield f"a {cluster.gpu.name} has no bf16, so it computes in float32"
    yield from _hybrid_advice(recipe, network, cluster)


def _hybrid_advice(recipe: TrainingRecipe, network: Network, cluster: Cluster) -> Iterator[str]:
    """Whether a shard group for each machine (HSDP) is faster than one of all GPUs, and fits."""
    machine = cluster.gpu.per_machine
    if cluster.num_machines == 1 or cluster.shard_size <= machine or cluster.num_gpus % machine:
        return
    hybrid = replace(cluster, shard_size=machine)
    if not _fits_on(recipe, network, hybrid):
        return
    phase = max(recipe.training.phases, key=lambda phase: phase.window)
    now, then = (_seconds_per_step(recipe, network, one, phase) for one in (cluster, hybrid))
    if then < 0.99 * now:
        yield (
            f"parallel.shard_size = {machine} keeps the gathers within each machine (HSDP): a step takes "
            f"{then:.2f} s instead of {now:.2f} s"
        )


def _settings_that_fit(
    recipe: TrainingRecipe, network: Network, cluster: Cluster
) -> Iterator[tuple[str, ...]]:
    """Overrides that make the run fit, the cheapest first: smaller micro-batches, then recomputation."""
    longest = max(phase.window for phase in recipe.training.phases)
    most = max(1, -(-(recipe.training.tokens_per_step // longest) // cluster.num_gpus))
    most = min(most, recipe.training.rows_per_micro_batch or most)
    for recomputed in (False, True):
        if recipe.training.activation_checkpointing and not recomputed:
            continue
        rows = most
        while rows:
            changed = recipe.training.model_copy(
                update={"activation_checkpointing": recomputed, "rows_per_micro_batch": rows}
            )
            if _fits_on(recipe.model_copy(update={"training": changed}), network, cluster):
                names = [f"training.rows_per_micro_batch={rows}"]
                if recomputed != recipe.training.activation_checkpointing:
                    names.append("training.activation_checkpointing=true")
                yield tuple(names)
            rows //= 2
