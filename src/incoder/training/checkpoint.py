"""The state of a run on disk: everything needed to go on as if it had never stopped.

`DIR/checkpoints/step-00000500.pt` holds one flat dictionary of names to tensors: `model.…` the weights,
`optimizer.…` what the optimizers have gathered, `run.…` the step and the position in the data. Each file is
written under a temporary name and renamed, so that the newest one is whole whenever the process dies. What
happens to a file later is found by the CRC-32 that PyTorch's format has for each tensor. Runs of several
processes write folders instead (sharded_states.py); every run reads both.
"""

import pickle
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from incoder.errors import IncoderError
from incoder.files import make_folder, replaced_atomically
from incoder.training.earlier_states import flattened, is_earlier
from incoder.training.ranks import Place, Ranks

if TYPE_CHECKING:
    from incoder.training.sharded_states import ShardedStates

PATTERN = "step-*.pt"
EmptyTensor = Callable[[str, torch.Size, torch.dtype], Tensor]

METADATA = ".metadata"  # in a folder of a sharded state
PARTIAL = ".partial"  # added to the name of such a folder until all ranks have written their files

_NAME = re.compile(r"step-(\d+)(?:\.pt)?")
_DAMAGED = ".damaged"  # added to the name of a state that is kept and no longer taken for a state
# The errors that zipfile and unpickling raise for damaged files.
UNREADABLE = (
    *(OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError),
    *(OverflowError, AssertionError, pickle.UnpicklingError, struct.error, zipfile.BadZipFile, zlib.error),
)


class DamagedStateError(IncoderError):
    """A state's file is not what was written."""


def save_state(folder: Path, step: int, state: Mapping[str, Tensor], *, keep: int) -> Path:
    """Write the state after `step` steps, then drop all but the newest `keep` states.

    A damaged state that this one replaces or follows is dropped, too.

    Raises:
        IncoderError: the folder cannot be written or the disk is full; earlier states stay.
    """
    path = make_folder(folder) / f"step-{step:08d}.pt"
    with replaced_atomically(path) as temporary, temporary.open("wb") as file:
        torch.save(dict(state), file)
    drop_old_states(folder, step, keep=keep)
    return path


def sharded_state_path(folder: Path, step: int) -> Path:
    """The folder of a sharded state that is whole."""
    return folder / f"step-{step:08d}"


def drop_old_states(folder: Path, step: int, *, keep: int) -> None:
    """Remove all but the newest `keep` states, and damaged ones up to `step`, which a newer one replaces.

    Raises:
        IncoderError: the folder cannot be written.
    """
    damaged = [
        path
        for path in folder.glob("step-*" + _DAMAGED)
        if (found := _NAME.fullmatch(path.name.removesuffix(_DAMAGED))) and int(found[1]) <= step
    ]
    try:
        for path in [*_states(folder)[:-keep], *damaged]:
            _remove(path)
    except OSError as error:
        raise IncoderError(f"cannot remove old checkpoints from {folder}: {error.strerror}") from error


def remove_partial_states(folder: Path) -> None:
    """Remove sharded states that a killed run was writing, or removing.

    Raises:
        IncoderError: the folder cannot be written.
    """
    try:
        for path in folder.glob("step-*" + PARTIAL):
            shutil.rmtree(path)
    except OSError as error:
        raise IncoderError(f"cannot clean up {folder}: {error.strerror}") from error


class StateFiles:
    """Writes the states of a run in one process; `ShardedStates` has the same methods for several."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        self._folder = folder
        self._keep = keep

    def save(self, step: int, state: Mapping[str, Tensor], *, wait: bool) -> None:  # noqa: ARG002
        """Write the state after `step` steps as `save_state` does, always before returning."""
        save_state(self._folder, step, state, keep=self._keep)

    def poll(self) -> None:
        """There is nothing to wait for."""


def state_writer(folder: Path, ranks: Ranks, *, keep: int) -> "StateFiles | ShardedStates":
    """Return what writes the states of a run by these ranks."""
    if not ranks.is_sharded:
        return StateFiles(folder, keep=keep)
    from incoder.training.process_group import ProcessGroup
    from incoder.training.sharded_states import ShardedStates

    assert isinstance(ranks, ProcessGroup)
    return ShardedStates(folder, ranks, keep=keep)


def newest_state(folder: Path) -> Path | None:
    """The newest state in the folder, whole or not, or None where there is none."""
    states = _states(folder)
    return states[-1] if states else None


def load_newest_state(
    folder: Path,
    on_note: Callable[[str], None],
    *,
    ranks: Ranks | None = None,
    empty: EmptyTensor | None = None,
) -> dict[str, Tensor]:
    """Read the newest whole state of a folder that has one.

    `on_note` is called with a sentence for each damaged state that is skipped. Its file is kept under
    another name, so that it counts neither as a state nor against the number of states that are kept. All
    ranks read the same state. `empty` is that of `load_state`.

    Raises:
        IncoderError: none is whole, or a file cannot be opened; all files stay as they are.
    """
    ranks = ranks or Ranks()
    damaged: list[tuple[Path, DamagedStateError]] = []
    for path in reversed(ranks.first(lambda: _states(folder))):
        try:
            state = ranks.each(lambda path=path: load_state(path, ranks.place, empty))  # type: ignore[misc]
        except DamagedStateError as error:
            damaged.append((path, error))
            continue
        for skipped, reason in damaged if ranks.is_first else ():
            skipped.replace(skipped.with_name(skipped.name + _DAMAGED))
            on_note(
                f"{reason}; going on from {path.name} instead, and keeping it as {skipped.name}{_DAMAGED}"
            )
        return state
    raise IncoderError(
        f"no checkpoint in {folder} is whole ({'; '.join(str(reason) for _, reason in damaged)}); "
        "start afresh with another --output"
    )


def load_state(path: Path, place: Place | None = None, empty: EmptyTensor | None = None) -> dict[str, Tensor]:
    """Read a state back, on the CPU; only tensors and plain values are unpickled.

    A file's tensors are whole, and mapped into memory if there are several ranks. A folder's tensors are
    read into those that `empty` makes for a name, shape and dtype, which may be DTensors; each rank then
    checks its share of the files.

    Raises:
        DamagedStateError: the file or folder is not what was written.
        IncoderError: the file may not be read.
    """
    place = place or Place()
    if _is_sharded(path):
        from incoder.training.sharded_states import check_files, load_sharded_state

        check_files(path, slice(place.rank, None, place.world_size))
        return load_sharded_state(path, empty or (lambda _, shape, dtype: torch.empty(shape, dtype=dtype)))
    try:
        with zipfile.ZipFile(path) as archive:
            if (changed := archive.testzip()) is not None:
                raise DamagedStateError(f"the checkpoint {path} is damaged ({changed} was changed)")
        state: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=place.world_size > 1)
        if isinstance(state, dict) and is_earlier(state):
            state = flattened(state)
    except PermissionError as error:
        raise IncoderError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    except UNREADABLE as error:
        raise DamagedStateError(f"the checkpoint {path} is damaged ({first_line(error)})") from error
    if not isinstance(state, dict) or "run.step" not in state:
        raise DamagedStateError(f"the checkpoint {path} is damaged (it holds no state of a run)")
    return state


def text_tensor(text: str) -> Tensor:
    """A text as a tensor of its bytes in UTF-8, for a state, which holds nothing but tensors.

    >>> tensor_text(text_tensor("abc"))
    'abc'
    """
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def tensor_text(tensor: Tensor) -> str:
    """The text that `text_tensor` made a tensor of."""
    return bytes(tensor.tolist()).decode()


def _states(folder: Path) -> list[Path]:
    """The states in a folder, the newest last; damaged ones that were skipped before are none."""
    if not folder.is_dir():
        return []
    numbered = [
        (int(found[1]), path)
        for path in folder.iterdir()
        if (found := _NAME.fullmatch(path.name)) and (path.suffix == ".pt" or _is_sharded(path))
    ]
    return [path for _, path in sorted(numbered)]


def _is_sharded(path: Path) -> bool:
    return (path / METADATA).is_file()


def _remove(path: Path) -> None:
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    # Renamed first: if this process is killed between two files, what is left is no state.
    if not path.name.endswith(PARTIAL):
        path = path.rename(path.with_name(path.name + PARTIAL))
    shutil.rmtree(path)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the error's kind if it has none."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
