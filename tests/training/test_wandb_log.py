"""Weights & Biases beside the other logs, with a stub in place of its library."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from incoder.errors import IncoderError
from incoder.training.recipe import TrainingRecipe
from incoder.training.wandb_log import WandbLog


class Stub(SimpleNamespace):
    """The parts of the library that are used; `failing` names the one that raises."""

    def __init__(self, failing: str = "") -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failing = failing

    def init(self, **settings: Any) -> "Stub":
        self._called("init", **settings)
        return self

    def log(self, values: dict[str, float], *, step: int) -> None:
        self._called("log", step=step, **values)

    def finish(self, *, exit_code: int) -> None:
        self._called("finish", exit_code=exit_code)

    def _called(self, name: str, /, **settings: Any) -> None:
        self.calls.append((name, settings))
        if name == self.failing:
            raise ConnectionError("no network")


def logged(stub: Stub, output: Path, recipe: TrainingRecipe, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setitem(sys.modules, "wandb", stub)
    notes: list[str] = []
    with WandbLog("infilling", output, recipe, notes.append) as log:
        log.write(0, {"loss": 5.0})
        log.write(1, {"loss": 4.5, "lr": 1e-3})
    return notes


def test_each_step_is_logged_with_the_resolved_recipe(
    tmp_path: Path, recipe: TrainingRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = Stub()
    assert logged(stub, tmp_path, recipe, monkeypatch) == []
    (_, settings), *rest = stub.calls
    assert settings["project"] == "infilling"
    assert settings["config"]["training"]["steps"] == 12
    assert rest == [
        ("log", {"step": 0, "loss": 5.0}),
        ("log", {"step": 1, "loss": 4.5, "lr": 1e-3}),
        ("finish", {"exit_code": 0}),
    ]


def test_a_resumed_run_goes_on_with_the_same_curves(
    tmp_path: Path, recipe: TrainingRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = []
    for _ in range(2):
        stub = Stub()
        logged(stub, tmp_path, recipe, monkeypatch)
        _, settings = stub.calls[0]
        assert settings["resume"] == "allow"
        ids.append(settings["id"])
    assert ids[0] == ids[1]
    assert len(ids[0]) == 32


@pytest.mark.parametrize(("failing", "num_calls"), [("init", 1), ("log", 2), ("finish", 4)])
def test_a_failure_is_a_note_and_ends_nothing(
    tmp_path: Path, recipe: TrainingRecipe, monkeypatch: pytest.MonkeyPatch, failing: str, num_calls: int
) -> None:
    stub = Stub(failing)
    notes = logged(stub, tmp_path, recipe, monkeypatch)
    assert notes == ["Weights & Biases gets no more metrics of this run (ConnectionError: no network)"]
    assert len(stub.calls) == num_calls


def test_a_run_without_a_step_is_not_started_there(
    tmp_path: Path, recipe: TrainingRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = Stub()
    monkeypatch.setitem(sys.modules, "wandb", stub)
    with WandbLog("infilling", tmp_path, recipe, print):
        pass
    assert stub.calls == []
    assert list(tmp_path.iterdir()) == []


def test_a_failed_run_is_marked_as_failed(
    tmp_path: Path, recipe: TrainingRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = Stub()
    monkeypatch.setitem(sys.modules, "wandb", stub)

    def diverging() -> None:
        with WandbLog("infilling", tmp_path, recipe, print) as log:
            log.write(0, {"loss": 5.0})
            raise KeyError

    with pytest.raises(KeyError):
        diverging()
    assert stub.calls[-1] == ("finish", {"exit_code": 1})


def test_without_the_library_the_extra_is_named(
    tmp_path: Path, recipe: TrainingRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(IncoderError, match=r"needs wandb: pip install .*wandb"):
        WandbLog("infilling", tmp_path, recipe, print)
