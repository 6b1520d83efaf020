from pathlib import Path

import pytest
import torch

from incoder.errors import IncoderError
from incoder.training.checkpoint import load_state, newest_state, save_state


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    weights = torch.arange(4.0)
    path = save_state(tmp_path, 7, {"run.step": torch.tensor(7), "model.weights": weights}, keep=2)
    state = load_state(path)
    assert int(state["run.step"]) == 7
    assert torch.equal(state["model.weights"], weights)


def test_only_the_newest_states_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        save_state(tmp_path, step, {"run.step": torch.tensor(step)}, keep=2)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-00000010.pt", "step-00000015.pt"]
    newest = newest_state(tmp_path)
    assert newest is not None
    assert int(load_state(newest)["run.step"]) == 15


def test_a_half_written_temporary_file_is_not_taken_for_a_state(tmp_path: Path) -> None:
    save_state(tmp_path, 5, {"run.step": torch.tensor(5)}, keep=2)
    (tmp_path / ".step-00000010.pt.a1b2").write_bytes(b"cut")
    newest = newest_state(tmp_path)
    assert newest is not None
    assert newest.name == "step-00000005.pt"


def test_an_empty_or_missing_folder_has_no_state(tmp_path: Path) -> None:
    assert newest_state(tmp_path) is None
    assert newest_state(tmp_path / "missing") is None


def test_a_damaged_state_is_a_clear_error(tmp_path: Path) -> None:
    path = save_state(tmp_path, 5, {"run.step": torch.tensor(5)}, keep=2)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(IncoderError, match="remove it to go on from the one before"):
        load_state(path)


def test_a_full_disk_keeps_the_earlier_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path, 5, {"run.step": torch.tensor(5)}, keep=1)

    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", no_space)
    with pytest.raises(IncoderError, match="No space left on device"):
        save_state(tmp_path, 10, {"run.step": torch.tensor(10)}, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005.pt"]
