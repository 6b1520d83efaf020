"""Memory returned to the operating system early: pages of mapped weight files, and freed heap memory.

Linux would reclaim the pages of mapped files when it needs them; until then a process looks as large as its
model and the file together. Pages that are needed again are read from the file. On other systems these
functions do nothing.
"""

import ctypes
import mmap
from functools import cache
from pathlib import Path

from torch import Tensor

_MAPS = Path("/proc/self/maps")


class MappedMemory:
    """The files that this process has mapped when this object is made."""

    def __init__(self) -> None:
        lines = _MAPS.read_text(encoding="utf-8", errors="replace").splitlines() if _MAPS.exists() else []
        fields = [line.split(maxsplit=5) for line in lines]
        ranges = [field[0].split("-") for field in fields if len(field) == 6 and field[5].startswith("/")]
        self._ranges = [(int(start, 16), int(end, 16)) for start, end in ranges]

    def give_back(self, tensor: Tensor) -> None:
        """Release the pages that lie wholly within a tensor of a mapped file; do nothing for others."""
        first, last = tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
        if tensor.device.type != "cpu" or not any(
            start <= first < last <= end for start, end in self._ranges
        ):
            return
        first, last = -(-first // mmap.PAGESIZE) * mmap.PAGESIZE, last // mmap.PAGESIZE * mmap.PAGESIZE
        if last > first:
            _c_library().madvise(
                ctypes.c_void_p(first), ctypes.c_size_t(last - first), ctypes.c_int(mmap.MADV_DONTNEED)
            )


def give_back_freed_memory() -> None:
    """Release freed heap memory between blocks in use, which glibc keeps for later allocations."""
    if _MAPS.exists() and hasattr(_c_library(), "malloc_trim"):
        _c_library().malloc_trim(ctypes.c_size_t(0))


@cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None)
