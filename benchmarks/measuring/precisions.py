"""Storage dtypes of matrices, and their sizes in bytes."""

from typing import Literal

import torch

from incoder.model.packing import GROUP_SIZE
from incoder.model.transformer import Transformer, TransformerConfig

# With int8 and int4, what is between the matrices is float32, on a GPU bfloat16.
Precision = torch.dtype | Literal["int8", "int4"]


def num_matrix_bytes(config: TransformerConfig, precision: Precision) -> int:
    """The size of all matrices that a token is multiplied by, including the embedding as the output layer."""
    with torch.device("meta"):
        model = Transformer(config)
    sizes: dict[str, int] = {
        name: weight.numel() for name, weight in model.state_dict().items() if weight.ndim == 2
    }
    num_weights, num_in_blocks = sum(sizes.values()), sum(sizes[name] for name in sizes if "blocks" in name)
    if precision == "int4":  # with a scale in float32 for each group; the embedding is in int8
        return num_in_blocks // 2 + num_in_blocks // GROUP_SIZE * 4 + num_weights - num_in_blocks
    bytes_per_weight: int = 1 if precision == "int8" else precision.itemsize
    return num_weights * bytes_per_weight
