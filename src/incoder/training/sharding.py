"""A model whose weights are divided among ranks (FSDP2): made, filled, and gathered again.

Each block is a unit, whose weights are gathered just before it computes; the embedding, the final norm and
the head are the unit of the whole model. Every rank has its rows of each weight in a
DTensor, as `torch.chunk` divides them. Nothing here holds more than one whole weight at a time.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Shard

from incoder.model.transformer import Transformer, TransformerConfig


def sharded_model(
    config: TransformerConfig,
    weights: Iterable[tuple[str, Tensor]],
    mesh: DeviceMesh,
    device: torch.device,
    *,
    reshard: bool = True,
    precision: torch.dtype = torch.float32,
) -> Transformer:
    """Make a model of whole float32 weights, given by name in any order, and keep this rank's rows of each.

    Gradients are summed over the ranks, not averaged. With `reshard`, a block's weights are freed between
    its forward and its backward pass. With a `precision` of bf16 they are gathered in bf16, half the bytes;
    inside autocast, which rounds the same weights, matrix products stay as they are.
    """
    with torch.device("meta"):
        model = Transformer(config)
    policy = MixedPrecisionPolicy(
        param_dtype=None if precision == torch.float32 else precision,
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,  # hidden states between blocks stay float32
    )
    for block in model.blocks:
        fully_shard(block, mesh=mesh, reshard_after_forward=reshard, mp_policy=policy)
    # The loss takes the output weight after the forward pass, when this unit must still be whole.
    fully_shard(model, mesh=mesh, reshard_after_forward=False)
    for unit in (*model.blocks, model):
        cast(FSDPModule, unit).set_gradient_divide_factor(1.0)
        cast(FSDPModule, unit).set_force_sum_reduction_for_comms(True)  # gloo has no sum with a factor
    table = model.position_table
    model.to_empty(device=device)  # overwrites the table, too, which is computed and not a weight
    model.position_table = table.to(device)
    left = dict(model.named_parameters())
    for name, whole in weights:
        local_rows(left.pop(name)).copy_(rows_of(whole, _sharded(model.get_parameter(name))))
    assert not left
    return model


def reduce_copies(model: Transformer, *, is_last: bool) -> None:
    """Say whether the next backward pass is the last of its step: then gradients are summed over copies, too.

    Within a copy of the model they are summed in each pass. Only `shard_size` makes several copies.
    """
    for unit in (*model.blocks, model):
        cast(FSDPModule, unit).set_requires_all_reduce(is_last, recurse=False)


def local_rows(tensor: Tensor) -> Tensor:
    """This rank's rows of a DTensor, which share its memory; another tensor is returned as it is."""
    return tensor.to_local().detach() if isinstance(tensor, DTensor) else tensor.detach()


def rows_of(whole: Tensor, like: DTensor) -> Tensor:
    """The rows of a whole tensor that this rank holds if it is divided as `like` is."""
    rows = whole
    for dimension, placement in enumerate(like.placements):
        if isinstance(placement, Shard):
            parts = rows.chunk(like.device_mesh.size(dimension))
            index = like.device_mesh.get_local_rank(dimension)
            rows = parts[index] if index < len(parts) else rows[:0]
    return rows


def with_shards(state: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Divide the whole tensors of a run's state as the parameters are that they belong to.

    A tensor `optimizer.PARAMETER.KEY` belongs to the parameter if it has its shape. Tensors that are divided
    already, and tensors of no sharded parameter, are returned as they are.
    """
    sharded: dict[str, Tensor] = {}
    for name, value in state.items():
        parameter = parameter_of(name, parameters)
        if (
            isinstance(parameter, DTensor)
            and not isinstance(value, DTensor)
            and value.shape == parameter.shape
        ):
            rows = rows_of(value, parameter).to(parameter.device, copy=True)
            sharded[name] = divided(rows, parameter)
        else:
            sharded[name] = value
    return sharded


def parameter_of(name: str, parameters: Mapping[str, Tensor]) -> Tensor | None:
    """The parameter that an entry `model.PARAMETER` or `optimizer.PARAMETER.KEY` of a state belongs to."""
    kind, _, rest = name.partition(".")
    return parameters.get({"model": rest, "optimizer": rest.rpartition(".")[0]}.get(kind, ""))


def empty_like(parameters: Mapping[str, Tensor], name: str, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Memory for an entry of a state: divided as its parameter is, if it has the same shape; else whole."""
    parameter = parameter_of(name, parameters)
    if isinstance(parameter, DTensor) and shape == parameter.shape:
        return divided(torch.empty_like(local_rows(parameter), dtype=dtype), parameter)
    return torch.empty(shape, dtype=dtype)


def whole_weights(model: Transformer, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Gather the weights in `dtype`, one at a time, by name in the order of the model.

    Every rank must take all of them, because all ranks take part in gathering each.
    """
    for name, weight in model.state_dict().items():
        rounded = weight.detach().to(dtype)
        yield name, rounded.full_tensor() if isinstance(rounded, DTensor) else rounded


def divided(rows: Tensor, like: DTensor) -> DTensor:
    """Make one tensor of the rows that each rank has of it, divided as `like` is."""
    return DTensor.from_local(
        rows, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )


def _sharded(parameter: Tensor) -> DTensor:
    assert isinstance(parameter, DTensor)
    return parameter
