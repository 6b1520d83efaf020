"""The table of GPUs that a run can be estimated for: published figures, for dense products."""

from dataclasses import dataclass

from incoder.errors import IncoderError

# NCCL moves about two thirds of a link's rate on an H100 (450 GB/s → 300), and nine tenths of a network's.
_LINK_SHARE = 2 / 3
_NETWORK_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU, and the machine that it is usually in."""

    name: str
    memory_gib: float  # as the driver reports it
    bf16_tflops: float | None  # of its tensor cores; None if it has no bf16
    fp32_tflops: float
    link_gb_per_second: float  # to another GPU of the machine, in one direction
    network_gbit_per_second: float  # of a usual machine, all its cards together
    per_machine: int = 8

    def peak_flops(self, *, bf16: bool) -> float:
        """The most floating-point operations a second; in float32 if it has no bf16."""
        return 1e12 * (self.bf16_tflops if bf16 and self.bf16_tflops else self.fp32_tflops)

    @property
    def memory_bytes(self) -> int:
        return int(self.memory_gib * 2**30)

    def link_bytes_per_second(self) -> float:
        """What collectives move within a machine, for each GPU."""
        return 1e9 * self.link_gb_per_second * _LINK_SHARE

    def network_bytes_per_second(self, gbit_per_second: float | None = None) -> float:
        """What collectives move between machines, for each machine."""
        return (gbit_per_second or self.network_gbit_per_second) / 8 * 1e9 * _NETWORK_SHARE


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("B200", 179.1, 2250, 80, 900, 3200),
        Gpu("H200", 139.8, 989, 67, 450, 3200),
        Gpu("H100", 79.6, 989, 67, 450, 3200),
        Gpu("A100", 79.2, 312, 19.5, 300, 1600),
        Gpu("A100-40GB", 39.4, 312, 19.5, 300, 1600),
        Gpu("L40S", 45.0, 362, 91.6, 32, 100),
        Gpu("V100", 31.7, None, 15.7, 150, 100),
        Gpu("RTX4090", 24.0, 165, 82.6, 32, 10),
        Gpu("L4", 22.5, 121, 30.3, 32, 100),
    )
}


def gpu_named(name: str) -> Gpu:
    """Return a GPU of the table; case, blanks and hyphens in its name do not matter.

    >>> gpu_named("a100 40gb").memory_gib
    39.4

    Raises:
        IncoderError: the table does not have it.
    """

    def key(text: str) -> str:
        return text.upper().replace(" ", "").replace("-", "")

    by_key = {key(known): gpu for known, gpu in GPUS.items()}
    if key(name) not in by_key:
        raise IncoderError(f"no GPU {name!r} is in the table; it has {', '.join(GPUS)}")
    return by_key[key(name)]
