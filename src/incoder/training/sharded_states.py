"""The state of a sharded run on disk: `DIR/checkpoints/step-00000500/`, by PyTorch's distributed checkpoint.

Each rank writes its rows of all tensors into one file, with a checksum beside it; the first rank writes
`.metadata` when all are done. Until then the folder is called `step-00000500.partial`, so a folder
without that ending is complete, whenever a process dies. A state has the same names as in `checkpoint.py`;
any number of ranks can read it, and so can one process. Writing may go on beside the next steps.
"""

import os
import pickle
import warnings
import zlib
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save

from incoder.errors import IncoderError
from incoder.training.checkpoint import (
    METADATA,
    PARTIAL,
    UNREADABLE,
    DamagedStateError,
    EmptyTensor,
    drop_old_states,
    first_line,
    sharded_state_path,
)
from incoder.training.process_group import ProcessGroup

_CHECKSUM = ".crc32"
_READ_BYTES = 1 << 24
_CLASSES_OF_METADATA = {  # by module: all that a state of tensors names
    "torch.distributed.checkpoint.metadata": (
        *("Metadata", "MetadataIndex", "StorageMeta", "TensorStorageMetadata"),
        *("TensorProperties", "ChunkStorageMetadata", "_MEM_FORMAT_ENCODING"),
    ),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo",),
    "torch.serialization": ("_get_layout",),
    "torch": ("Size", "float32", "float64", "bfloat16", "int64", "uint8"),
    "pathlib": ("PosixPath",),
}


class ShardedStates:
    """Writes the states of a run, at most one at a time."""

    def __init__(self, folder: Path, ranks: ProcessGroup, *, keep: int) -> None:
        self._folder = folder
        self._ranks = ranks
        self._keep = keep
        self._pending: tuple[int, Future[Any]] | None = None

    def save(self, step: int, state: Mapping[str, Tensor], *, wait: bool) -> None:
        """Begin to write the state after `step` steps, of which a copy is made; `wait` until it is on disk.

        The state before it is finished first. A state that is on disk already is not written again.

        Raises:
            IncoderError: the disk is full, or the folder cannot be written; earlier states stay.
        """
        self.finish()
        path = sharded_state_path(self._folder, step)
        if self._ranks.first(lambda: (path / METADATA).is_file()):
            return
        writer = _ChecksummedWriter(self._partial(step))
        future = async_save(dict(state), storage_writer=writer, process_group=self._ranks.patient_group)
        assert isinstance(future, Future)
        self._pending = step, future
        if wait:
            self.finish()

    def poll(self) -> None:
        """Give a state its name if it is written; cheap, to be called after each step.

        Raises:
            IncoderError: it could not be written.
        """
        if self._pending is not None and self._pending[1].done():
            self.finish()

    def finish(self) -> None:
        """Wait until the state that is being written has its name; drop the oldest states.

        Raises:
            IncoderError: it could not be written.
        """
        if self._pending is None:
            return
        step, future = self._pending
        self._pending = None
        try:
            future.result()
        except CheckpointException as error:  # no Exception: nothing else may catch it
            reason = next(iter(error.failures.values()))[0]
            raise IncoderError(f"cannot write the checkpoint {self._partial(step)}: {reason}") from error
        if self._ranks.is_first:
            try:
                self._partial(step).rename(sharded_state_path(self._folder, step))
                _sync(self._folder)
            except OSError as error:
                raise IncoderError(
                    f"cannot write the checkpoint {sharded_state_path(self._folder, step)}: {error.strerror}"
                ) from error
            drop_old_states(self._folder, step, keep=self._keep)

    def _partial(self, step: int) -> Path:
        path = sharded_state_path(self._folder, step)
        return path.with_name(path.name + PARTIAL)


def load_sharded_state(path: Path, empty: EmptyTensor) -> dict[str, Tensor]:
    """Read a state; `empty` makes the tensor that an entry is read into: whole, or a DTensor.

    Each process reads its own rows and communicates with no other.

    Raises:
        DamagedStateError: the folder does not hold what was written.
    """
    try:
        reader = _SafeReader(path)
        outlines = reader.read_metadata().state_dict_metadata
        state = {
            name: empty(name, outline.size, outline.properties.dtype)
            for name, outline in outlines.items()
            if isinstance(outline, TensorStorageMetadata)
        }
        if len(state) != len(outlines):
            raise DamagedStateError(f"the checkpoint {path} is damaged (it holds more than tensors)")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")  # as it is meant to be here
            load(state, storage_reader=reader, no_dist=True)
    except (CheckpointException, *UNREADABLE) as error:
        raise DamagedStateError(f"the checkpoint {path} is damaged ({first_line(error)})") from error
    return state


def check_files(path: Path, share: slice) -> None:
    """Compare some of a state's files with their checksums: those that the slice takes, in order of names.

    Raises:
        DamagedStateError: a file is not what was written.
    """
    try:
        checksums = sorted(path.glob("*" + _CHECKSUM))
        if not checksums:
            raise DamagedStateError(f"the checkpoint {path} is damaged (it has no checksums)")
        for checksum in checksums[share]:
            file = checksum.with_suffix("")
            if _crc32(file) != checksum.read_text(encoding="ascii").strip():
                raise DamagedStateError(f"the checkpoint {path} is damaged ({file.name} was changed)")
    except (OSError, ValueError) as error:
        raise DamagedStateError(f"the checkpoint {path} is damaged ({error})") from error


class _ChecksummedWriter(FileSystemWriter):
    """Writes the checksum of each file beside it, before the metadata says that all are written."""

    def write_data(self, plan: Any, planner: Any) -> Any:
        written = super().write_data(plan, planner)
        for name in {result.storage_data.relative_path for result in written.value()}:
            file = Path(self.path) / name
            file.with_name(name + _CHECKSUM).write_text(_crc32(file) + "\n", encoding="ascii")
        return written

    def finish(self, metadata: Metadata, results: Any) -> None:
        super().finish(metadata, results)
        file = Path(self.path) / METADATA
        file.with_name(METADATA + _CHECKSUM).write_text(_crc32(file) + "\n", encoding="ascii")
        _sync(Path(self.path))


class _SafeReader(FileSystemReader):
    """Reads metadata as data: PyTorch's reader would run any code that a pickle names."""

    def read_metadata(self, *_: Any, **__: Any) -> Metadata:
        with (Path(self.path) / METADATA).open("rb") as file:
            metadata = _MetadataUnpickler(file).load()
        if not isinstance(metadata, Metadata):
            raise DamagedStateError(
                f"the checkpoint {self.path} is damaged (its .metadata is something else)"
            )
        for where in metadata.storage_data.values():
            if Path(where.relative_path).name != where.relative_path:
                raise DamagedStateError(f"the checkpoint {self.path} names a file outside of it")
        return metadata


class _MetadataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in _CLASSES_OF_METADATA.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a checkpoint's metadata")


def _crc32(path: Path) -> str:
    value = 0
    with path.open("rb") as file:
        while content := file.read(_READ_BYTES):
            value = zlib.crc32(content, value)
    return f"{value:08x}"


def _sync(folder: Path) -> None:
    """Wait until the names in a folder are on disk; some network file systems cannot, and need not."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
