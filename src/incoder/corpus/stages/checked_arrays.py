"""Arrays that one stage leaves on disk for the next, each with a checksum of its file."""

from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from incoder.corpus.engine.work_folder import finished


def save_array(array: np.ndarray[Any, Any], path: Path) -> int:
    """Write an array as .npy; returns the checksum of the file."""
    with finished(path) as temporary:
        with temporary.open("wb") as file:
            np.save(file, array)
        return crc32(temporary.read_bytes())


def has_checksum(path: Path, checksum: int) -> bool:
    """Whether the file is as it was written.

    Raises:
        OSError: it cannot be read.
    """
    return crc32(path.read_bytes()) == checksum
