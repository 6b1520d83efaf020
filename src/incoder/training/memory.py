"""The memory that a run needs on each GPU, by part, from formulae: nothing is allocated.

A step has four moments at which memory can be fullest: the loss, the start of the backward pass, its end, and
the update. `memory_needed` adds up the parts at each, and returns the fullest moment. A memory tracker that
runs the real network on fake tensors checks the formulae (tests/training/test_memory.py).
"""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from incoder.model.adapters import matrix_shapes
from incoder.model.transformer import TransformerConfig, outline

RESERVE_BYTES = 4 * 2**30  # of CUDA, NCCL and fragmentation (3 to 5 GiB)

_LOSS_CHUNK = 8192  # positions (objective/loss.py, on CUDA)
# A block in its backward pass: its activations, of which some are freed while temporary gradients appear.
_BLOCK_BACKWARD = 1.4
_MUON_BYTES = 10  # for each number of the matrices that are made orthogonal together


@dataclass(frozen=True)
class Network:
    """The counts of a network that memory and time follow from."""

    config: TransformerConfig

    @cached_property
    def _sizes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(weight.shape) for name, weight in outline(self.config).items()}

    @cached_property
    def num_parameters(self) -> int:
        return self.config.num_parameters

    @cached_property
    def num_block_parameters(self) -> int:
        """The weights of one block."""
        return sum(_numel(shape) for name, shape in self._sizes.items() if name.startswith("blocks.0."))

    @property
    def num_root_parameters(self) -> int:
        """The weights outside of the blocks: embedding, final norm, output matrix."""
        return self.num_parameters - self.config.num_layers * self.num_block_parameters

    @cached_property
    def matrices(self) -> Counter[tuple[int, ...]]:
        """How many matrices of each shape the blocks have; Muon moves these."""
        return Counter(
            shape for name, shape in self._sizes.items() if name.startswith("blocks.") and len(shape) == 2
        )

    @property
    def num_matrix_parameters(self) -> int:
        return sum(count * _numel(shape) for shape, count in self.matrices.items())

    @property
    def vocabulary_size(self) -> int:
        """The numbers in the embedding: V · D."""
        return self.config.vocab_size * self.config.hidden_size

    def num_adapter_parameters(self, rank: int) -> int:
        """The weights of a LoRA adapter of this rank, which has two matrices for each one on disk."""
        return sum(rank * sum(shape) for _, shape in matrix_shapes(self.config))

    def flops_per_token(self, window: int, adapter_rank: int | None = None) -> float:
        """Forward and backward pass, with causal attention in full windows; recomputation does not count.

        The gradients of frozen weights, a third of the products, are not computed for an adapter.
        """
        width = self.config.num_heads * self.config.head_dim
        attention = 6 * self.config.num_layers * width * window
        if adapter_rank is not None:
            return 4 * self.num_parameters + 6 * self.num_adapter_parameters(adapter_rank) + attention
        return 6 * self.num_parameters + attention

    def block_activation_bytes(self, item_bytes: int) -> int:
        """What the backward pass keeps of one token in one block; products have `item_bytes` a number.

        The residual stream and the norms' inputs are float32. The values are a view of the fused q/k/v, so
        all of it is kept, beside the rotated queries and keys.
        """
        config = self.config
        queries, keys = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
        streams = 2 * (4 + (item_bytes if item_bytes < 4 else 0)) * config.hidden_size
        if item_bytes == 4:  # a norm's output is kept as it is, without a copy in half precision
            streams += 2 * 4 * config.hidden_size
        attention = queries + 2 * keys + queries
        if config.is_rotary:
            attention += queries + keys
        if keys < queries:  # keys and values are repeated for the query heads that share them
            attention += 2 * queries
        inner = (4 if config.shape == "llama" else 2) * config.inner_size
        return streams + item_bytes * (attention + inner)


@dataclass(frozen=True, slots=True)
class Load:
    """The part of a run that one GPU has."""

    num_shards: int  # GPUs that the weights are divided among; 1 is a process on its own
    rows: int  # of a micro-batch
    window: int
    num_micro_batches: int = 1
    precision: Literal["bf16", "fp32"] = "bf16"
    optimizer: Literal["adamw", "muon"] = "adamw"
    checkpoint_activations: bool = False
    reshard: bool = True
    has_average: bool = False
    adapter_rank: int | None = None  # if an adapter is trained, and the weights are frozen

    @property
    def item_bytes(self) -> int:
        return 2 if self.precision == "bf16" else 4

    @property
    def num_tokens(self) -> int:
        return self.rows * self.window


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of one GPU at the fullest moment of a step, in bytes."""

    moment: str
    parts: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.parts.values())


def state_bytes(network: Network, load: Load) -> dict[str, int]:
    """What a run keeps on each GPU from step to step, besides gradients: weights and optimizer."""
    if load.adapter_rank is not None:  # its weights, and twice as much for the optimizer
        adapter = 12 * network.num_adapter_parameters(load.adapter_rank)
        return {"frozen weights": 4 * network.num_parameters, "adapter and optimizer": adapter}
    by_muon = network.num_matrix_parameters if load.optimizer == "muon" else 0
    parts = {
        "weights": 4 * network.num_parameters,
        "optimizer": 8 * (network.num_parameters - by_muon) + 4 * by_muon,
        "averaged weights": 4 * network.num_parameters if load.has_average else 0,
    }
    return {name: _ceil(size, load.num_shards) for name, size in parts.items() if size}


def memory_needed(network: Network, load: Load) -> Memory:
    """Return the memory of one GPU at the fullest moment of a step, without `RESERVE_BYTES`.

    >>> from incoder.model.sizes import config_for
    >>> network = Network(config_for("1.3b", "llama", vocab_size=50518))
    >>> needed = memory_needed(network, Load(num_shards=8, rows=8, window=2048))
    >>> needed.moment, round(needed.total / 2**30)
    ('loss', 40)
    """
    moments = [
        Memory(moment, {name: size for name, size in parts.items() if size})
        for moment, parts in moments_of(network, load).items()
    ]
    return max(moments, key=lambda memory: memory.total)


def moments_of(network: Network, load: Load) -> dict[str, dict[str, int]]:
    """Return the bytes of each part of memory at each of the four moments."""
    state = state_bytes(network, load)
    gradients = gradient_bytes(network, load)
    # A later micro-batch adds to gradients that are there; the first one makes them on the way back.
    early_gradients = gradients if load.num_micro_batches > 1 else 0
    activations = _activations(network, load)
    one_block = load.num_tokens * network.block_activation_bytes(load.item_bytes)
    share_of_backward = _BLOCK_BACKWARD - (0 if load.checkpoint_activations else 1)
    at_loss, in_backward, at_end = _gathered(network, load)
    return {
        "loss": state
        | {
            "gradients": early_gradients,
            "gathered weights": at_loss,
            "activations": activations,
            "loss": _loss_bytes(network, load),
        },
        "backward pass": state
        | {
            "gradients": early_gradients,
            "gathered weights": in_backward,
            "activations": activations + int(share_of_backward * one_block),
            "loss": 4 * network.vocabulary_size if load.adapter_rank is None else 0,  # of the output matrix
        },
        "end of the backward pass": state | {"gradients": gradients, "gathered weights": at_end},
        "update": state | {"gradients": gradients, "products of the update": _update_bytes(network, load)},
    }


def gradient_bytes(network: Network, load: Load) -> int:
    """Return what the gradients of a step take on each GPU."""
    if load.adapter_rank is not None:
        return 4 * network.num_adapter_parameters(load.adapter_rank)
    return _ceil(4 * network.num_parameters, load.num_shards)


def _activations(network: Network, load: Load) -> int:
    """The activations of all blocks and of the final norm."""
    hidden = 4 * network.config.hidden_size
    a_block = hidden if load.checkpoint_activations else network.block_activation_bytes(load.item_bytes)
    return load.num_tokens * (network.config.num_layers * a_block + 2 * hidden)


def _gathered(network: Network, load: Load) -> tuple[int, int, int]:
    """Whole weights, and their gradients in flight: at the loss, early in the backward pass, at its end."""
    item = load.item_bytes
    block, root = network.num_block_parameters, network.num_root_parameters
    if load.num_shards == 1:  # no sharding: autocast's copies in half precision
        copies = item * network.num_matrix_parameters if item < 4 else 0
        late_copies = item * block if load.checkpoint_activations and copies else copies
        if load.adapter_rank is not None:  # no gradients of whole matrices
            return copies, late_copies, 0
        return copies, late_copies + (4 + item) * block, (4 + item) * block
    kept = 0 if load.reshard else item * network.config.num_layers * block
    # Two whole blocks, the buffer of a gather, a gradient, and the buffer of its reduction in float32.
    in_flight = (4 * item + 4) * block
    return 4 * root + kept, 4 * root + kept + in_flight, 12 * root


def _loss_bytes(network: Network, load: Load) -> int:
    """The output matrix and its gradients, the logits of a chunk, the hidden states with their gradient."""
    logits = min(_LOSS_CHUNK, load.num_tokens) * network.config.vocab_size * (load.item_bytes + 4)
    hidden = 2 * load.item_bytes * load.num_tokens * network.config.hidden_size
    output = load.item_bytes if load.adapter_rank is not None else 2 * load.item_bytes + 4
    return output * network.vocabulary_size + logits + hidden


def _update_bytes(network: Network, load: Load) -> int:
    """Muon makes all matrices of one shape orthogonal together; among shards, each GPU has its own."""
    if load.optimizer != "muon":
        return 0
    return _MUON_BYTES * max(
        _numel(shape) * _ceil(count, load.num_shards) for shape, count in network.matrices.items()
    )


def _numel(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _ceil(size: int, parts: int) -> int:
    return -(-size // parts)
