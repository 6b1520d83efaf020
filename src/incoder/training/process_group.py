"""Ranks that are joined by PyTorch's process group: gloo between CPUs, NCCL between GPUs.

`connect` joins them. Imported only where a run has several processes, or `torchrun` started its only one.
NCCL has not been tested on GPUs.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from incoder.errors import IncoderError
from incoder.model.device import choose_device
from incoder.training.ranks import Place, Ranks

T = TypeVar("T")

# Reading a large corpus to check it, and writing a checkpoint to slow storage, take longer than any step.
_PATIENCE = timedelta(hours=2)


def device_of(place: Place, name: str | None = None) -> torch.device:
    """Return the device of a rank: the CPU, or the GPU with the number that the rank has on its machine.

    Raises:
        IncoderError: there is no such device.
    """
    chosen = choose_device(name)
    return choose_device(f"cuda:{place.local_rank}") if chosen.type == "cuda" else chosen


def connect(place: Place, device: torch.device, *, timeout_seconds: int) -> "ProcessGroup":
    """Join the run's other processes, whose address `torchrun` put into the environment.

    A rank that waits for others longer than `timeout_seconds` in a step raises an error.

    Raises:
        IncoderError: the address is missing, or the processes did not find each other.
    """
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    timeout = timedelta(seconds=timeout_seconds)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        dist.init_process_group(backend, timeout=timeout)
    except (ValueError, RuntimeError) as error:  # a missing variable, or one of dist's own errors
        reason = str(error).splitlines()[0]
        raise IncoderError(
            f"{place} could not join the others within {timeout_seconds} s ({reason}); start all "
            "processes with torchrun, with the same rendezvous endpoint"
        ) from error
    return ProcessGroup(place, device)


class ProcessGroup(Ranks):
    """The ranks of a run, from the point of view of one of them."""

    is_sharded = True

    def __init__(self, place: Place, device: torch.device) -> None:
        super().__init__(place)
        self.device = device
        # For objects between steps, and for the threads that write checkpoints beside them: never both.
        self.patient_group = dist.new_group(backend="gloo", timeout=_PATIENCE)

    def mesh(self, shard_size: int | None) -> DeviceMesh:
        """The ranks as [shard], or as [replicate, shard] if groups of `shard_size` hold the model each.

        Consecutive ranks, which share machines, form a group. More than all ranks are all ranks.

        Raises:
            IncoderError: the ranks cannot be divided into such groups.
        """
        num_ranks = self.place.world_size
        if shard_size is None or shard_size >= num_ranks:
            return init_device_mesh(self.device.type, (num_ranks,), mesh_dim_names=("shard",))
        if num_ranks % shard_size:
            raise IncoderError(
                f"parallel.shard_size ({shard_size}) must divide the number of processes ({num_ranks}); "
                'choose another, or "all"'
            )
        return init_device_mesh(
            self.device.type,
            (num_ranks // shard_size, shard_size),
            mesh_dim_names=("replicate", "shard"),
        )

    def sum(self, *values: float) -> list[float]:
        """Each value summed over the ranks, in float64."""
        summed = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(summed)
        totals: list[float] = summed.tolist()
        return totals

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank."""
        return self.sum(float(flag))[0] > 0

    def each(self, action: Callable[[], T]) -> T:
        """Run the action on every rank and return this rank's result; raise on all if it raises on one."""
        result: T | None = None
        problem: IncoderError | None = None
        try:
            result = action()
        except IncoderError as error:
            problem = error
        problems = self._gathered((type(problem), str(problem)) if problem else None)
        found = [(rank, *problem) for rank, problem in enumerate(problems) if problem is not None]
        if found:
            _, kind, message = found[0]
            is_everywhere = len({message for _, _, message in found}) == 1 and len(found) == len(problems)
            whose = "" if is_everywhere else f"{self._places()[found[0][0]]}: "
            raise kind(whose + message) from problem
        return result  # type: ignore[return-value] # no problem: it is the action's

    def first(self, action: Callable[[], T]) -> T:
        """Run the action on the first rank; return its result, or raise its error, on every rank."""
        shared: list[Any] = [None, None]  # the result; the kind and the message of an error
        cause: IncoderError | None = None
        if self.is_first:
            try:
                shared[0] = action()
            except IncoderError as error:
                cause = error
                shared[1] = (type(error), str(error))
        dist.broadcast_object_list(shared, src=0, group=self.patient_group)
        if shared[1] is not None:
            kind, message = shared[1]
            raise kind(message) from cause
        result: T = shared[0]
        return result

    def check_same(self, facts: Mapping[str, str]) -> None:
        """Raise if a fact differs between this rank and the first."""
        everyone: list[dict[str, str]] = self._gathered(dict(facts))
        for rank, theirs in enumerate(everyone):
            for what, value in everyone[0].items():
                if theirs.get(what) != value:
                    places = self._places()
                    raise IncoderError(
                        f"{places[rank]} has another {what} than {places[0]}; all machines of a run need the "
                        "same files and the same versions"
                    )

    def close(self) -> None:
        """Leave the process group."""
        if dist.is_initialized():
            dist.destroy_process_group()

    def _gathered(self, value: Any) -> list[Any]:
        values = [None] * self.place.world_size
        dist.all_gather_object(values, value, group=self.patient_group)
        return values

    def _places(self) -> list[Place]:
        """All places, by rank; the ranks that need them all need them at once."""
        places: list[Place] = self._gathered(self.place)
        return places
