"""States of the release before, as the flat dictionary of now, so that its runs can go on."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def is_earlier(state: Mapping[str, Any]) -> bool:
    """Whether a state is nested by part of the run, as it was before it became flat."""
    return "optimizers" in state


def flattened(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Give all of its tensors their flat names.

    Optimizers numbered their parameters: Muon the matrices of the blocks, AdamW first the other matrices and
    then the vectors, both in the order of the model.
    """
    weights: Mapping[str, Tensor] = state["model"]
    matrices = [name for name, weight in weights.items() if name.startswith("blocks.") and weight.ndim == 2]
    by_muon = matrices if "muon" in state["optimizers"] else []
    others = [name for name in weights if name not in by_muon]
    by_adamw = [name for name in others if weights[name].ndim >= 2]
    by_adamw += [name for name in others if weights[name].ndim < 2]
    flat = {f"model.{name}": weight for name, weight in weights.items()}
    for optimizer, names in (("muon", by_muon), ("adamw", by_adamw)):
        for number, values in state["optimizers"].get(optimizer, {"state": {}})["state"].items():
            flat |= {f"optimizer.{names[number]}.{key}": value for key, value in values.items()}
    position = state["stream"]
    numbers = {
        "step": state["step"],
        "tokens": state["tokens"],
        "epoch": position["epoch"],
        "chunk": position["group"],
        "row": position["row"],
        "window": position["window"],
    }
    flat |= {f"run.{name}": torch.tensor(number) for name, number in numbers.items()}
    flat["run.data_fingerprint"] = torch.tensor(list(state["data_fingerprint"].encode()), dtype=torch.uint8)
    return flat
