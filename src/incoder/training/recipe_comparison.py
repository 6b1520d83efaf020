"""Whether a run may go on with a recipe: the one that it was started with, except for a few keys.

These keys say how long a run is, how often it measures and saves, and how processes share its work. A step
does not depend on them, except that the learning rate and the window follow from the number of steps.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from incoder.config import load_recipe, save_recipe
from incoder.errors import IncoderError
from incoder.training.recipe import TrainingRecipe
from incoder.training.schedule import learning_rate_factor

_MAY_CHANGE = frozenset(
    {
        "training.steps",
        "training.checkpoint_every",
        "training.keep_checkpoints",
        "training.export_every",
        "parallel.shard_size",
        "parallel.reshard",
        "parallel.asynchronous_checkpoints",
        "parallel.timeout_seconds",
        "evaluation.every",
        "evaluation.max_tokens",
        "evaluation.patience",
    }
)


def check_resumable(recipe: TrainingRecipe, path: Path) -> TrainingRecipe:
    """Compare a recipe with the resolved one that a run saved in `path`, and return the latter.

    Raises:
        IncoderError: settings differ that may not; the message names each with both values.
    """
    saved = load_recipe(TrainingRecipe, path, on_renamed=lambda _: None)
    different = [
        f"{key} is {before}, now {now}"
        for key, (before, now) in _changes(saved, recipe).items()
        if key not in _MAY_CHANGE
    ]
    if different:
        raise IncoderError(
            f"the run in {path.parent} was started with another recipe ({'; '.join(different)}); "
            "resume it with the same one, or start another --output, from its weights with "
            f'model.start_from = "{path.parent / "model"}"'
        )
    return saved


def take_over(
    recipe: TrainingRecipe,
    saved: TrainingRecipe,
    path: Path,
    *,
    steps_done: int,
    on_note: Callable[[str], None],
) -> None:
    """Save `recipe` as the run's own, which goes on with it after `steps_done` steps.

    If `training.steps` changes, the earlier recipe is kept beside it, because no single recipe gives all the
    run's losses any more.

    Raises:
        IncoderError: more steps are done than the recipe has, or the file cannot be written.
    """
    changes = _changes(saved, recipe)
    if not changes:
        return
    steps = recipe.training.steps
    if steps < steps_done:
        raise IncoderError(
            f"training.steps is {steps}, but the run in {path.parent} has done {steps_done} steps already; "
            "resume it with as many or more, or name another --output"
        )
    for key, (before, now) in changes.items():
        on_note(f"{key} is {now} from here on (it was {before})")
    if "training.steps" in changes:
        _tell_schedule(recipe, saved, steps_done, on_note)
        save_recipe(saved, path.with_name(f"recipe-until-step-{steps_done:08d}.toml"))
    save_recipe(recipe, path)


def _tell_schedule(
    recipe: TrainingRecipe, saved: TrainingRecipe, step: int, on_note: Callable[[str], None]
) -> None:
    """Say what follows from another number of steps for the steps to come."""
    steps = recipe.training.steps
    if step == steps:
        return
    factor = learning_rate_factor(step, steps, recipe.optimizer)
    on_note(
        f"the learning rate goes on as in a run of {steps} steps: {factor:.0%} of its peak at step {step}"
    )
    before = saved.training.window_at(min(step, saved.training.steps) - 1)
    now = recipe.training.window_at(step)
    if before != now:
        on_note(
            f"the window is {now} tokens at step {step} (it was {before}), as the phases divide {steps} steps"
        )


def _changes(saved: TrainingRecipe, recipe: TrainingRecipe) -> dict[str, tuple[Any, Any]]:
    """The settings that differ, as `section.key`, with both values; paths may have moved and are left out."""
    before, now = saved.model_dump(mode="json"), recipe.model_dump(mode="json")
    changes = {}
    for section in now:
        was, will = before[section], now[section]
        if isinstance(was, dict) or isinstance(will, dict):
            was, will = was or {}, will or {}  # [adapter] may be left out
            for key in {**will, **was}:
                if was.get(key) != will.get(key):
                    changes[f"{section}.{key}"] = (was.get(key), will.get(key))
    return changes
