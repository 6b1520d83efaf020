"""The network, in three shapes: `xglm` (the paper's), `llama` and `starcoder2`.

Token ids in, hidden states out; logits on request. Knows no text, no sampling and no files. Weights that
multiply the same input are fused in memory (q/k/v, gate/up); checkpoint.py splits them on disk.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from incoder.errors import IncoderError, shown
from incoder.model.attention import Attend, Segments, choose_attention
from incoder.model.rotary import RopeScaling, rotate, rotations

Shape = Literal["xglm", "llama", "starcoder2"]

XGLM_POSITION_OFFSET = 2  # the first two rows of fairseq's table belong to no position

# Upper bounds, well above published models: a configuration file of a few bytes must not make the process
# build layers without end, or fill its memory.
_MAX_SIZES = {
    "vocab_size": 1 << 24,
    "hidden_size": 1 << 18,
    "num_layers": 1 << 10,
    "num_heads": 1 << 14,
    "num_kv_heads": 1 << 14,
    "head_dim": 1 << 14,
    "inner_size": 1 << 20,
    "max_positions": 1 << 26,
}
_MAX_TABLE_BYTES = 1 << 30  # of positions: a million of them with heads of 256 dimensions
_TOKEN_IDS = ("bos_id", "eos_id", "pad_id")


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """All settings of the network's computation.

    | shape | positions | norm | feed-forward | biases |
    |---|---|---|---|---|
    | xglm | sinusoidal | LayerNorm | exact GELU | everywhere |
    | llama | rotary | RMSNorm | SwiGLU | none, or q/k/v's (Qwen2), or everywhere (Granite Code) |
    | starcoder2 | rotary | LayerNorm | tanh GELU | everywhere |

    Raises:
        IncoderError: a number is out of range, or sizes do not match each other.
    """

    shape: Shape
    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    inner_size: int
    max_positions: int = 2048
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    norm_eps: float = 1e-5
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    tie_embeddings: bool = True
    bos_id: int = 2
    eos_id: int = 2
    pad_id: int = 1

    def __post_init__(self) -> None:
        self._check_numbers()
        if self.num_heads % self.num_kv_heads:
            raise IncoderError(
                f"num_heads must be a multiple of num_kv_heads ({self.num_kv_heads}), got {self.num_heads}"
            )
        if self.is_rotary and self.head_dim % 2:
            raise IncoderError(f"head_dim must be even for rotary positions, got {self.head_dim}")
        if self.shape == "starcoder2" and self.num_heads * self.head_dim != self.hidden_size:
            raise IncoderError(
                "the starcoder2 shape needs num_heads * head_dim = hidden_size, got "
                f"{self.num_heads * self.head_dim} and {self.hidden_size}"
            )
        if self.shape == "xglm":
            self._check_xglm()

    def _check_numbers(self) -> None:
        for name, limit in _MAX_SIZES.items():
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise IncoderError(f"{name} must be a whole number of at least 1, got {shown(value)}")
            if value > limit:
                raise IncoderError(f"{name} must be at most {limit:,}, got {shown(value)}")
        width = self.head_dim if self.is_rotary else self.hidden_size
        table_bytes = self.max_positions * width * torch.float32.itemsize
        if table_bytes > _MAX_TABLE_BYTES:
            raise IncoderError(
                f"max_positions is {self.max_positions:,}: the table of positions would take "
                f"{table_bytes / 1e9:.1f} GB, at most {_MAX_TABLE_BYTES / 1e9:.1f} GB are allowed; "
                "lower max_position_embeddings to the context that you need"
            )
        for name in ("rope_theta", "norm_eps"):
            value = getattr(self, name)
            if not 0 < value < math.inf:  # also NaN
                raise IncoderError(f"{name} must be a positive number, got {value:g}")
        for name in _TOKEN_IDS:
            value = getattr(self, name)  # -1 is published where a family has no such token
            if type(value) is not int or not -1 <= value < _MAX_SIZES["vocab_size"]:
                raise IncoderError(f"{name} must be the id of a token, got {shown(value)}")

    def _check_xglm(self) -> None:
        width = self.num_heads * self.head_dim
        if self.num_kv_heads != self.num_heads or width != self.hidden_size:
            raise IncoderError(
                "the xglm shape needs num_kv_heads = num_heads and num_heads * head_dim = hidden_size, got "
                f"{self.num_kv_heads} and {self.num_heads}, {width} and {self.hidden_size}"
            )
        if self.hidden_size % 2 or self.hidden_size < 4:
            raise IncoderError(
                f"hidden_size must be even and at least 4 for sinusoidal positions, got {self.hidden_size}"
            )

    @property
    def is_rotary(self) -> bool:
        """Whether positions rotate queries and keys, instead of being added to the embedding."""
        return self.shape != "xglm"

    @property
    def has_biases(self) -> bool:
        """Whether every linear layer has a bias, whatever `qkv_bias`, `out_bias` and `mlp_bias` say."""
        return self.shape != "llama"

    @property
    def num_parameters(self) -> int:
        """The number of weights; a tied embedding counts once."""
        return sum(weight.numel() for weight in outline(self).values())


def outline(config: TransformerConfig) -> dict[str, Tensor]:
    """Return the network's weights by name, in any order, on the device `meta`: their shapes, and no memory.

    >>> from incoder.model.sizes import config_for
    >>> outline(config_for("mini", "llama", vocab_size=1000))["embedding.weight"].shape
    torch.Size([1000, 256])
    """
    with torch.device("meta"):
        # All layers are alike, and the table of positions is computed, not a weight: one of each is enough.
        weights = Transformer(replace(config, num_layers=1, max_positions=1)).state_dict()
    first = "blocks.0."
    block = {name.removeprefix(first): weights.pop(name) for name in list(weights) if name.startswith(first)}
    return weights | {
        f"blocks.{layer}.{name}": weight
        for layer in range(config.num_layers)
        for name, weight in block.items()
    }


class Transformer(nn.Module):
    """A pre-norm decoder-only Transformer."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        # Given `_weight`, PyTorch draws no random numbers, which on `meta` would import the compiler (2 s).
        self.embedding: nn.Module = nn.Embedding(
            config.vocab_size,
            config.hidden_size,
            _weight=torch.empty(config.vocab_size, config.hidden_size),
        )
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.final_norm = _norm(config)
        self.lm_head: nn.Module | None = (
            None if config.tie_embeddings else nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        )
        # On the CPU whatever the default device, so that a model built on `meta` has the table, too.
        with torch.device("cpu"):
            table = (
                rotations(config.max_positions, config.head_dim, config.rope_theta, config.rope_scaling)
                if config.is_rotary
                else _sinusoids(config)
            )
        self.position_table: Tensor
        self.register_buffer("position_table", table, persistent=False)

    @property
    def device(self) -> torch.device:
        return self.position_table.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of activations outside of autocast; quantized matrices have another dtype."""
        weight = self.final_norm.weight
        assert isinstance(weight, Tensor)
        return weight.dtype

    @property
    def output_weight(self) -> Tensor:
        """The output matrix [V, D], from hidden states to logits."""
        weight = (self.lm_head or self.embedding).weight
        assert isinstance(weight, Tensor)
        return weight

    def logits(self, hidden: Tensor) -> Tensor:
        """Map hidden states […, D] to logits […, V]."""
        if self.lm_head is None:
            return F.linear(hidden, self.output_weight)
        out: Tensor = self.lm_head(hidden)
        return out

    def forward(
        self,
        token_ids_BT: Tensor,
        *,
        positions_BT: Tensor | None = None,
        attention_mask: Tensor | Segments | None = None,
        checkpoint_blocks: bool = False,
    ) -> Tensor:
        """Run whole rows through the network; return hidden_BTD after the final norm.

        Training and scoring use this; generation uses backends with a cache (inference/backends/).
        `positions_BT` count from 0, by default along each row. `attention_mask` is bool, broadcastable to
        [B, 1, T, T], True where a query may attend to a key, and already causal; or the segments of packed
        rows. Without it, every query attends to all keys up to its own position. `checkpoint_blocks` stores
        only the hidden states between blocks for the backward pass, which recomputes the rest.

        Raises:
            IncoderError: more tokens than the model has positions.
        """
        num_tokens = token_ids_BT.shape[1]
        if positions_BT is None and num_tokens > self.config.max_positions:
            raise IncoderError(
                f"{num_tokens} tokens are more than the {self.config.max_positions} positions of this model; "
                "shorten the text"
            )
        rows = slice(num_tokens) if positions_BT is None else positions_BT
        hidden_BTD = self.embedding(token_ids_BT)
        dtype = _compute_dtype(hidden_BTD)
        rotation = None
        if self.config.is_rotary:
            rotation = self.position_table[:, rows].to(dtype).unsqueeze(-2)
        else:
            scale = math.sqrt(self.config.hidden_size)
            hidden_BTD = hidden_BTD * scale + self.position_table[rows].to(hidden_BTD.dtype)
        attend = choose_attention(token_ids_BT, attention_mask, num_past=0, is_cached=False, dtype=dtype)
        for block in self.blocks:
            if checkpoint_blocks:
                hidden_BTD = checkpoint(
                    block, hidden_BTD, rotation, attend, use_reentrant=False, preserve_rng_state=False
                )
            else:
                hidden_BTD = block(hidden_BTD, rotation, attend)
        out_BTD: Tensor = self.final_norm(hidden_BTD)
        return out_BTD

    @torch.no_grad()
    def init_weights(self, generator: torch.Generator) -> None:
        """Initialise the weights; equal generator states produce equal weights.

        `xglm` as in fairseq: embedding N(0, d^-0.5), q/k/v Xavier with gain 1/√2, the rest Xavier. The other
        shapes as in GPT-2: N(0, 0.02), and the projections into the residual stream divided by √(2 · layers).
        """
        for name, weight in self.named_parameters():
            init_weight(name, weight, self.config, generator)


@torch.no_grad()
def init_weight(name: str, weight: Tensor, config: TransformerConfig, generator: torch.Generator) -> None:
    """Initialise one weight, which `Transformer.named_parameters` has by this name."""
    if name.endswith("bias"):
        weight.zero_()
    elif weight.ndim == 1:
        weight.fill_(1.0)
    elif config.shape != "xglm":
        is_residual = name.endswith(("attention.out.weight", "down.weight"))
        std = 0.02 * (1 / math.sqrt(2 * config.num_layers) if is_residual else 1.0)
        weight.normal_(std=std, generator=generator)
    elif name.startswith(("embedding", "lm_head")):
        weight.normal_(std=config.hidden_size**-0.5, generator=generator)
    else:
        for part in weight.chunk(3) if name.endswith("qkv.weight") else (weight,):
            gain = 1 / math.sqrt(2) if name.endswith("qkv.weight") else 1.0
            nn.init.xavier_uniform_(part, gain=gain, generator=generator)


class Block(nn.Module):
    """Attention, then the feed-forward layer, each applied to the normalised residual stream."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention_norm = _norm(config)
        self.attention = Attention(config)
        self.feed_forward_norm = _norm(config)
        self.feed_forward = SwiGLU(config) if config.shape == "llama" else GELULayer(config)

    def forward(self, hidden_BTD: Tensor, rotation: Tensor | None, attend: Attend) -> Tensor:
        hidden_BTD = hidden_BTD + self.attention(self.attention_norm(hidden_BTD), rotation, attend)
        out: Tensor = hidden_BTD + self.feed_forward(self.feed_forward_norm(hidden_BTD))
        return out


class Attention(nn.Module):
    """Multi-head attention, rotary or not, with K ≤ H heads of keys and values."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self._heads = [config.num_heads, config.num_kv_heads, config.num_kv_heads]
        self._head_dim = config.head_dim
        width = config.num_heads * config.head_dim
        self.qkv = nn.Linear(
            config.hidden_size,
            sum(self._heads) * config.head_dim,
            bias=config.has_biases or config.qkv_bias,
        )
        self.out = nn.Linear(width, config.hidden_size, bias=config.has_biases or config.out_bias)

    def forward(self, hidden_BTD: Tensor, rotation: Tensor | None, attend: Attend) -> Tensor:
        num_heads, num_kv_heads, _ = self._heads
        qkv_BTHd = self.qkv(hidden_BTD).unflatten(-1, (-1, self._head_dim))
        if rotation is None:
            q_BTHd, k_BTKd, v_BTKd = torch.split(qkv_BTHd, self._heads, dim=2)
        else:
            qk, v_BTKd = torch.split(qkv_BTHd, [num_heads + num_kv_heads, num_kv_heads], dim=2)
            q_BTHd, k_BTKd = torch.split(rotate(qk, rotation), [num_heads, num_kv_heads], dim=2)
        q_BHTd, k_BKTd, v_BKTd = q_BTHd.transpose(1, 2), k_BTKd.transpose(1, 2), v_BTKd.transpose(1, 2)
        mixed_BHTd = attend(q_BHTd, k_BKTd, v_BKTd)
        out: Tensor = self.out(mixed_BHTd.transpose(1, 2).flatten(2))
        return out


class SwiGLU(nn.Module):
    """The llama shape's feed-forward layer: down(silu(gate x) · up x)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.hidden_size, 2 * config.inner_size, bias=config.mlp_bias)
        self.down = nn.Linear(config.inner_size, config.hidden_size, bias=config.mlp_bias)

    def forward(self, hidden_BTD: Tensor) -> Tensor:
        gate, up = self.gate_up(hidden_BTD).chunk(2, dim=-1)
        out: Tensor = self.down(F.silu(gate) * up)
        return out


class GELULayer(nn.Module):
    """The other shapes' feed-forward layer: down(gelu(up x)).

    GELU is exact in the paper's shape, where the tanh approximation would change the logits; StarCoder2 was
    trained with the approximation.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.hidden_size, config.inner_size)
        self.down = nn.Linear(config.inner_size, config.hidden_size)
        self._approximate = gelu_approximation(config)

    def forward(self, hidden_BTD: Tensor) -> Tensor:
        out: Tensor = self.down(F.gelu(self.up(hidden_BTD), approximate=self._approximate))
        return out


class RMSNorm(nn.Module):
    """Root-mean-square normalisation in the dtype of its input."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self._eps = eps

    def forward(self, hidden: Tensor) -> Tensor:
        return F.rms_norm(hidden, self.weight.shape, self.weight.to(hidden.dtype), self._eps)


def gelu_approximation(config: TransformerConfig) -> str:
    """Return PyTorch's name of the GELU that the shape was trained with."""
    return "tanh" if config.shape == "starcoder2" else "none"


def _norm(config: TransformerConfig) -> nn.Module:
    if config.shape == "llama":
        return RMSNorm(config.hidden_size, config.norm_eps)
    return nn.LayerNorm(config.hidden_size, eps=config.norm_eps)


def _sinusoids(config: TransformerConfig) -> Tensor:
    """Return rows of [sin | cos], position 0 first: fairseq's table without its first two rows."""
    half = config.hidden_size // 2
    frequencies = torch.exp(torch.arange(half) * -(math.log(10_000) / (half - 1)))
    positions = torch.arange(XGLM_POSITION_OFFSET, XGLM_POSITION_OFFSET + config.max_positions)
    angles = positions[:, None] * frequencies
    return torch.cat((angles.sin(), angles.cos()), dim=1)


def _compute_dtype(hidden: Tensor) -> torch.dtype:
    """Return the dtype of matrix products: autocast's dtype if autocast is on."""
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
