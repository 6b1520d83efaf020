"""Before the first step: the run's folder locked, checked and cleaned up, and its inputs compared.

The first rank prepares the folder, which all ranks share; every rank opens the inputs on its machine.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import torch

from incoder.config import refuse_other_runs, save_recipe
from incoder.errors import IncoderError
from incoder.files import remove_temporaries
from incoder.objective.masking import MaskingConfig
from incoder.training.checkpoint import PATTERN, newest_state, remove_partial_states
from incoder.training.export import EXPORTED, remove_unfinished_export
from incoder.training.heartbeat import FOLDER, remove_heartbeats
from incoder.training.inputs import RunInputs
from incoder.training.lock import locked
from incoder.training.ranks import Place
from incoder.training.recipe import TrainingRecipe
from incoder.training.recipe_comparison import check_resumable
from incoder.training.start_masking import with_start_masking

_WRITTEN = (
    *("recipe.toml", "metrics.jsonl", "tensorboard", "checkpoints", "loss.png"),
    *(*EXPORTED, FOLDER),
)


class Started(NamedTuple):
    """What the first rank found in the run's folder: the run's recipe, if it is resumed, and its masking."""

    saved: TrainingRecipe | None
    masking: MaskingConfig


def start_run(
    recipe: TrainingRecipe, output: Path, resume: bool, stack: ExitStack, on_note: Callable[[str], None]
) -> Started:
    """Lock the folder until `stack` is closed, check that the run may write into it, and clean it up."""
    recipe_path = output / "recipe.toml"
    stack.enter_context(locked(output))
    has_state = newest_state(output / "checkpoints") is not None
    if has_state and not resume:
        raise IncoderError(f"{output} already holds a run; go on with --resume, or name another --output")
    recipe = with_start_masking(recipe, on_note, resumed_from=output if has_state else None)
    saved = None
    if has_state:
        saved = check_resumable(recipe, recipe_path)
    else:
        refuse_other_runs(recipe, recipe_path, _WRITTEN)
        save_recipe(recipe, recipe_path)
    _remove_unfinished_files(output)
    return Started(saved, recipe.masking)


def checked_inputs(inputs: RunInputs | None, recipe: TrainingRecipe, place: Place) -> RunInputs:
    """Open the inputs; one process of each machine reads all of them to check them."""
    inputs = inputs or RunInputs.open(recipe)
    if place.local_rank == 0:
        inputs.check()
    return inputs


def common_facts(recipe: TrainingRecipe, inputs: RunInputs, precision: torch.dtype) -> dict[str, str]:
    """Return the facts that must be equal on all ranks, which compute the same batches and the same model.

    `precision` is that of matrix products, which follows from the processor if the recipe does not name it.
    """
    return {
        "recipe": recipe.model_dump_json(exclude={"tokens", "tokenizer"}),
        "tokenizer": inputs.tokenizer.fingerprint,
        "corpus (training tokens)": inputs.training.fingerprint,
        "corpus (validation tokens)": inputs.validation.fingerprint,
        "precision, of training.precision": str(precision),
        "version of PyTorch": torch.__version__,
    }


def _remove_unfinished_files(output: Path) -> None:
    """Remove temporary files of a process that was killed in this folder, which is ours and locked."""
    remove_temporaries(output, ("recipe*.toml", "metrics.jsonl", "loss.png"))
    remove_temporaries(output / "checkpoints", (PATTERN,))
    for name in EXPORTED:
        remove_unfinished_export(output / name)
    remove_partial_states(output / "checkpoints")
    remove_heartbeats(output)
