"""What sharding costs on a CPU: two processes with a thread each, beside one process with two threads.

Both train a random llama-shaped model of the given size on the same rows with AdamW or Muon, in turns: a few
steps of the one, then of the other, several times. The ratio of the median times of a step is what counts.

    python benchmarks/sharding.py --size mini --window 256
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys

import numpy as np
import torch
from measuring.turns import seconds_for

from incoder.model.sizes import config_for
from incoder.model.transformer import Transformer
from incoder.objective.packing import PackedRows
from incoder.training.data import to_device
from incoder.training.module import TrainingModule
from incoder.training.optimizer import Optimizers
from incoder.training.ranks import Place, Ranks
from incoder.training.recipe import OptimizerSection
from incoder.training.shares import micro_batches

CPU = torch.device("cpu")
VOCAB_SIZE = 8192


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="mini")
    parser.add_argument("--tokens", type=int, default=4096, help="tokens a step")
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--optimizer", choices=["adamw", "muon"], default="muon")
    parser.add_argument("--steps", type=int, default=6, help="steps in each turn")
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--ranks", type=int, default=2)
    arguments = parser.parse_args()
    if "RANK" in os.environ:
        _steps(arguments)
        return
    seconds: dict[int, list[float]] = {1: [], arguments.ranks: []}
    for _ in range(arguments.turns):
        for num_ranks, found in seconds.items():
            found += _seconds_of(num_ranks, arguments.ranks // num_ranks)
    one, several = (statistics.median(found) for found in seconds.values())
    print(f"{arguments.size}, {arguments.tokens} tokens a step in windows of {arguments.window}, float32")
    print(f"one process, {arguments.ranks} threads: {one:.3f} s a step")
    print(f"{arguments.ranks} processes, a thread each: {several:.3f} s a step, ratio {several / one:.2f}")


def _seconds_of(num_ranks: int, num_threads: int) -> list[float]:
    """Start the processes of one turn and return the seconds of each step of the first."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
    environment = os.environ | {"OMP_NUM_THREADS": str(num_threads), "WORLD_SIZE": str(num_ranks)}
    environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, *sys.argv],
            env=environment | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(num_ranks)
    ]
    outputs = [process.communicate()[0] for process in processes]
    return [float(line) for line in outputs[0].split()]


def _steps(arguments: argparse.Namespace) -> None:
    """Time the steps of one process, and print their seconds."""
    place = Place.of({**os.environ, "LOCAL_WORLD_SIZE": "1"})
    assert place is not None
    config = config_for(arguments.size, "llama", vocab_size=VOCAB_SIZE)
    whole = Transformer(config)
    whole.init_weights(torch.Generator().manual_seed(0))
    ranks, model = Ranks(place), whole
    if place.world_size > 1:
        from incoder.training.process_group import connect
        from incoder.training.sharding import sharded_model

        ranks = group = connect(place, CPU, timeout_seconds=600)
        model = sharded_model(config, whole.named_parameters(), group.mesh(None), CPU)
    optimizers = Optimizers(model, OptimizerSection(name=arguments.optimizer), torch.float32, ranks)
    module = TrainingModule(model)
    token_ids = torch.randint(4, VOCAB_SIZE, (arguments.tokens // arguments.window, arguments.window)).numpy()
    positions = np.tile(np.arange(arguments.window), (len(token_ids), 1))
    rows = PackedRows(token_ids, token_ids, np.zeros_like(token_ids), positions)

    def step() -> None:
        for part in micro_batches(rows, place, None):
            loss_sum, _ = module(to_device(part, CPU))
            torch.autograd.backward(loss_sum / rows.targets.size)
        optimizers.step(0, 100)

    step()
    for _ in range(arguments.steps):
        print(seconds_for(step))
    ranks.close()


if __name__ == "__main__":
    main()
