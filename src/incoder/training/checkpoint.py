"""The state of a run on disk: everything needed to go on as if it had never stopped.

`DIR/checkpoints/step-00000500.pt` holds one flat dictionary of names to tensors: `model.…` the weights,
`optimizer.…` what the optimizers have gathered, `run.…` the step and the position in the data. Each file is
written under a temporary name and renamed, so that the newest one is whole whenever the process dies. What
happens to a file later is found by the CRC-32 that PyTorch's format has for each tensor.
"""

import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from incoder.errors import IncoderError
from incoder.files import make_folder, replaced_atomically
from incoder.training.earlier_states import flattened, is_earlier

PATTERN = "step-*.pt"

_NAME = re.compile(r"step-(\d+)\.pt")
_DAMAGED = ".damaged"  # added to the name of a file that is kept and no longer taken for a state
# The errors that zipfile and unpickling raise for damaged files.
_UNREADABLE = (
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
    for old in _states(folder)[:-keep]:
        old.unlink(missing_ok=True)
    for damaged in folder.glob(PATTERN + _DAMAGED):
        if damaged.name <= path.name + _DAMAGED:
            damaged.unlink(missing_ok=True)
    return path


def newest_state(folder: Path) -> Path | None:
    """The newest state in the folder, whole or not, or None where there is none."""
    states = _states(folder)
    return states[-1] if states else None


def load_newest_state(folder: Path, on_note: Callable[[str], None]) -> dict[str, Tensor]:
    """Read the newest whole state of a folder that has one.

    `on_note` is called with a sentence for each damaged state that is skipped. Its file is kept under
    another name, so that it counts neither as a state nor against the number of states that are kept.

    Raises:
        IncoderError: none is whole, or a file cannot be opened; all files stay as they are.
    """
    damaged: list[tuple[Path, DamagedStateError]] = []
    for path in reversed(_states(folder)):
        try:
            state = load_state(path)
        except DamagedStateError as error:
            damaged.append((path, error))
            continue
        for skipped, reason in damaged:
            skipped.replace(skipped.with_name(skipped.name + _DAMAGED))
            on_note(
                f"{reason}; going on from {path.name} instead, and keeping it as {skipped.name}{_DAMAGED}"
            )
        return state
    raise IncoderError(
        f"no checkpoint in {folder} is whole ({'; '.join(str(reason) for _, reason in damaged)}); "
        "start afresh with another --output"
    )


def load_state(path: Path) -> dict[str, Tensor]:
    """Read a state back, on the CPU; only tensors and plain values are unpickled.

    Raises:
        DamagedStateError: the file is not what was written.
        IncoderError: the file may not be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (changed := archive.testzip()) is not None:
                raise DamagedStateError(f"the checkpoint {path} is damaged ({changed} was changed)")
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(state, dict) and is_earlier(state):
            state = flattened(state)
    except PermissionError as error:
        raise IncoderError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    except _UNREADABLE as error:
        raise DamagedStateError(f"the checkpoint {path} is damaged ({_first_line(error)})") from error
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
    numbered = {int(found[1]): path for path in folder.iterdir() if (found := _NAME.fullmatch(path.name))}
    return [numbered[step] for step in sorted(numbered)]


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
