"""The metrics of a run on Weights & Biases, beside metrics.jsonl and TensorBoard, for users who ask for it.

The library reads its own settings, such as the key and WANDB_MODE=offline. A failure in it, or on the way to
its servers, becomes one note and never ends a run.
"""

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from incoder.extras import missing_extra
from incoder.files import write_text
from incoder.training.recipe import TrainingRecipe

_RUN_ID = "wandb-id.txt"  # in the folder of a run: a resumed run goes on with the same curves


class WandbLog:
    """Sends the metrics of each step to a project, and drops them after the first failure.

    Raises:
        IncoderError: the library is not installed.
    """

    def __init__(
        self, project: str, output: Path, recipe: TrainingRecipe, on_note: Callable[[str], None]
    ) -> None:
        try:
            import wandb
        except ImportError as error:
            raise missing_extra("logging to Weights & Biases needs wandb", "wandb") from error
        self._wandb: Any = wandb
        self._project, self._output, self._recipe = project, output, recipe
        self._on_note = on_note
        self._run: Any = None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Send the values of one step; the first one starts the run there."""
        if self._run is None:
            self._attempt(self._start)
        self._attempt(lambda: self._run.log(dict(values), step=step))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._run is not None:
            self._attempt(lambda: self._run.finish(exit_code=0 if kind is None else 1))

    def _start(self) -> None:
        id_path = self._output / _RUN_ID
        if not id_path.exists():
            write_text(id_path, uuid.uuid4().hex + "\n")
        self._run = self._wandb.init(
            project=self._project,
            name=self._output.resolve().name,
            id=id_path.read_text(encoding="utf-8").strip(),
            resume="allow",
            dir=str(self._output),
            config=self._recipe.model_dump(mode="json"),
        )

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever it is, training goes on
            self._on_note(
                f"Weights & Biases gets no more metrics of this run ({type(error).__name__}: {error})"
            )
            self._run = _Silent()


class _Silent:
    """A run of which nothing is logged any more."""

    def log(self, *_: object, **__: object) -> None:
        pass

    def finish(self, **_: object) -> None:
        pass
