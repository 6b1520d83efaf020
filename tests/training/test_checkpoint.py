import os
from pathlib import Path

import pytest
import torch

from incoder.errors import IncoderError
from incoder.training.checkpoint import load_newest_state, load_state, newest_state, save_state

STATE = {"run.step": torch.tensor(7), "model.weights": torch.arange(4.0)}


def save(folder: Path, step: int, keep: int = 2) -> Path:
    return save_state(folder, step, {**STATE, "run.step": torch.tensor(step)}, keep=keep)


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    state = load_state(save_state(tmp_path, 7, STATE, keep=2))
    assert state.keys() == STATE.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in STATE.items())


def test_only_the_newest_states_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        save(tmp_path, step)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-00000010.pt", "step-00000015.pt"]
    newest = newest_state(tmp_path)
    assert newest is not None
    assert int(load_state(newest)["run.step"]) == 15


def test_a_half_written_temporary_file_is_not_taken_for_a_state(tmp_path: Path) -> None:
    save(tmp_path, 5)
    (tmp_path / ".step-00000010.pt.a1b2").write_bytes(b"cut")
    newest = newest_state(tmp_path)
    assert newest is not None
    assert newest.name == "step-00000005.pt"


def test_an_empty_or_missing_folder_has_no_state(tmp_path: Path) -> None:
    assert newest_state(tmp_path) is None
    assert newest_state(tmp_path / "missing") is None


def test_a_flipped_byte_changes_no_state_without_an_error(tmp_path: Path) -> None:
    path = save(tmp_path, 7)
    content = path.read_bytes()
    num_refused = 0
    for place in range(0, len(content), 5):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x40]) + content[place + 1 :])
        try:
            state = load_state(path)
        except IncoderError:
            num_refused += 1
        else:  # a byte between what the format's parts hold
            assert all(torch.equal(state[name], tensor) for name, tensor in STATE.items())
    assert num_refused > 100


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:400])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def nuls(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def flip(path: Path) -> None:
    content = path.read_bytes()
    place = content.index(torch.arange(4.0).numpy().tobytes())
    path.write_bytes(content[: place + 7] + b"\x41" + content[place + 8 :])


def no_archive(path: Path) -> None:
    path.write_text("not a checkpoint")


def other_pickle(path: Path) -> None:
    torch.save([1, 2, 3], path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [cut, empty, nuls, flip, no_archive, other_pickle, folder])
def test_a_damaged_newest_state_is_skipped_for_the_one_before(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    for step in (5, 10):
        save(tmp_path, step)
    damage(tmp_path / "step-00000010.pt")
    notes: list[str] = []
    assert int(load_newest_state(tmp_path, notes.append)["run.step"]) == 5
    assert len(notes) == 1
    assert "step-00000010.pt is damaged" in notes[0]
    assert "going on from step-00000005.pt" in notes[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-00000005.pt",
        "step-00000010.pt.damaged",
    ]
    assert int(load_newest_state(tmp_path, notes.append)["run.step"]) == 5
    assert len(notes) == 1, "a state is skipped once"


def test_a_damaged_state_costs_no_whole_one_and_goes_when_its_step_is_saved_again(tmp_path: Path) -> None:
    for step in (5, 10):
        save(tmp_path, step)
    cut(tmp_path / "step-00000010.pt")
    load_newest_state(tmp_path, lambda _: None)
    save(tmp_path, 7, keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-00000007.pt",
        "step-00000010.pt.damaged",
    ]
    save(tmp_path, 10, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010.pt"]


def test_where_no_state_is_whole_all_are_named_and_left_as_they_are(tmp_path: Path) -> None:
    for step in (5, 10):
        cut(save(tmp_path, step))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(IncoderError, match=r"no checkpoint .* is whole \(.*00010.*00005.*another --output"):
        load_newest_state(tmp_path, lambda _: None)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_state_that_may_not_be_read_is_no_damaged_one(tmp_path: Path) -> None:
    for step in (5, 10):
        save(tmp_path, step)
    (tmp_path / "step-00000010.pt").chmod(0)
    with pytest.raises(IncoderError, match=r"cannot read the checkpoint .*Permission denied"):
        load_newest_state(tmp_path, lambda _: None)
    assert (tmp_path / "step-00000010.pt").exists()


def test_steps_are_compared_as_numbers(tmp_path: Path) -> None:
    save(tmp_path, 99_999_999)
    save(tmp_path, 100_000_000)
    newest = newest_state(tmp_path)
    assert newest is not None
    assert newest.name == "step-100000000.pt"


def test_a_full_disk_keeps_the_earlier_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 5, keep=1)

    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", no_space)
    with pytest.raises(IncoderError, match="No space left on device"):
        save(tmp_path, 10, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005.pt"]
