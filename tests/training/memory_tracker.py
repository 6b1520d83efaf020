"""Tracks the memory of sharded training steps on fake tensors: the network's size and load in, bytes out.

A script, since the fake process group must not stay in the tests' process. Prints one JSON object: the bytes
by kind after the forward pass and at the peak of forward and backward pass. The loss is only a sum, and there
is no optimizer: the tracker cannot run the one, and counts the other's state unsharded.
"""

import json
import sys
import warnings

import torch
import torch.distributed as dist
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.testing._internal.distributed.fake_pg import FakeStore

from incoder.model.sizes import config_for
from incoder.model.transformer import Transformer


def main(size: str, shape: str, num_ranks: int, rows: int, window: int, checkpoint_blocks: bool) -> None:
    dist.init_process_group("fake", rank=0, world_size=num_ranks, store=FakeStore())
    mesh = init_device_mesh("cpu", (num_ranks,))
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    with FakeTensorMode():
        model = Transformer(config_for(size, shape, vocab_size=50518))  # type: ignore[arg-type]
        for block in model.blocks:
            fully_shard(block, mesh=mesh, mp_policy=policy)
        fully_shard(model, mesh=mesh)
        token_ids_BT = torch.zeros((rows, window), dtype=torch.long)
        with FSDPMemTracker(model) as tracker:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                hidden_BTD = model(token_ids_BT, checkpoint_blocks=checkpoint_blocks)
                loss = hidden_BTD.sum()
            after_forward = bytes_by_kind(tracker, "current")
            loss.backward()
            json.dump({"after_forward": after_forward, "peak": bytes_by_kind(tracker, "peak")}, sys.stdout)
    dist.destroy_process_group()


def bytes_by_kind(tracker: FSDPMemTracker, moment: str) -> dict[str, int]:
    (kinds,) = tracker.get_tracker_snapshot(moment).values()
    return {str(kind).rpartition(".")[2].lower(): size for kind, size in kinds.items()}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(**json.loads(sys.argv[1]))
