"""The table of model sizes (the last two are from the paper's Table 8).

Imports no torch, so that a recipe can be checked without it.
"""

from typing import TYPE_CHECKING, Any

from incoder.errors import IncoderError

if TYPE_CHECKING:
    from incoder.model.transformer import Shape, TransformerConfig

# name: hidden size, layers, heads, key/value heads, inner size with a gate (llama) and without (the others)
SIZES: dict[str, tuple[int, int, int, int, int, int]] = {
    "mini": (256, 6, 4, 2, 704, 1024),
    "125m": (768, 12, 12, 12, 2048, 3072),
    "350m": (1024, 24, 16, 16, 2736, 4096),
    "1.3b": (2048, 24, 32, 32, 5504, 8192),
    "6.7b": (4096, 32, 32, 32, 11008, 16384),
}


def config_for(size: str, shape: "Shape", *, vocab_size: int, **overrides: Any) -> "TransformerConfig":
    """Return the configuration of a size in a shape; `overrides` replace single fields.

    The xglm shape has no grouped-query attention, so it has as many key/value heads as query heads.

    Raises:
        IncoderError: there is no such size, or a field is out of range.

    >>> config_for("1.3b", "xglm", vocab_size=50518).num_parameters
    1312063488
    """
    from incoder.model.transformer import TransformerConfig

    if size not in SIZES:
        raise IncoderError(f"there is no model size {size!r}; the sizes are {', '.join(SIZES)}")
    hidden_size, num_layers, num_heads, num_kv_heads, gated_inner_size, inner_size = SIZES[size]
    fields: dict[str, Any] = {
        "hidden_size": hidden_size,
        "num_layers": num_layers,
        "num_heads": num_heads,
        "num_kv_heads": num_heads if shape == "xglm" else num_kv_heads,
        "inner_size": gated_inner_size if shape == "llama" else inner_size,
        **overrides,
    }
    fields.setdefault("head_dim", fields["hidden_size"] // fields["num_heads"])
    return TransformerConfig(shape=shape, vocab_size=vocab_size, **fields)
