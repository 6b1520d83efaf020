"""The state of a run on disk: everything needed to go on as if it had never stopped.

`DIR/checkpoints/step-00000500.pt` holds one flat dictionary of names to tensors: `model.…` the weights,
`optimizer.…` what the optimizers have gathered, `run.…` the step and the position in the data. Each file is
written under a temporary name and renamed, so that the newest one is whole whenever the process dies.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from incoder.errors import IncoderError
from incoder.files import make_folder, replaced_atomically
from incoder.training.earlier_states import flattened, is_earlier

_NAME = re.compile(r"step-(\d+)\.pt")


def save_state(folder: Path, step: int, state: Mapping[str, Tensor], *, keep: int) -> Path:
    """Write the state after `step` steps, then drop all but the newest `keep` states.

    Raises:
        IncoderError: the folder cannot be written or the disk is full; earlier states stay.
    """
    path = make_folder(folder) / f"step-{step:08d}.pt"
    with replaced_atomically(path) as temporary, temporary.open("wb") as file:
        torch.save(dict(state), file)
    for old in _states(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def newest_state(folder: Path) -> Path | None:
    """The newest state in the folder, or None where there is none."""
    states = _states(folder)
    return states[-1] if states else None


def load_state(path: Path) -> dict[str, Tensor]:
    """Read a state back, on the CPU; only tensors and plain values are unpickled.

    Raises:
        IncoderError: the file is damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise IncoderError(
            f"the checkpoint {path} cannot be read ({error}); remove it to go on from the one before"
        ) from error
    return flattened(state) if is_earlier(state) else state


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
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
