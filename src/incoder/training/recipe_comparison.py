"""Whether a run may go on with a recipe: it must be the one that it was started with."""

from pathlib import Path

from incoder.config import load_recipe
from incoder.errors import IncoderError
from incoder.training.recipe import TrainingRecipe


def check_same_recipe(recipe: TrainingRecipe, path: Path) -> None:
    """Compare a recipe with the resolved one that a run saved in `path`.

    Raises:
        IncoderError: settings differ; the message names each with both values.
    """
    saved = load_recipe(TrainingRecipe, path, on_renamed=lambda _: None).model_dump(mode="json")
    wanted = recipe.model_dump(mode="json")
    different = [
        f"{section}.{key} is {saved[section][key]}, now {value}"
        for section, values in wanted.items()
        if isinstance(values, dict)
        for key, value in values.items()
        if saved[section][key] != value
    ]
    if different:
        raise IncoderError(
            f"the run in {path.parent} was started with another recipe ({'; '.join(different)}); "
            "resume it with the same one, or name another --output"
        )
