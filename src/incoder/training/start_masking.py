"""Masking settings that a run takes over from its start model, for keys that the recipe does not name.

A model that was trained to begin infills with the lines before the hole, or to end them after a line,
unlearns it within some dozens of steps of other masking.
"""

from collections.abc import Callable
from pathlib import Path

from incoder.config import load_recipe, save_recipe
from incoder.errors import IncoderError
from incoder.objective.masking import MaskingConfig
from incoder.training.recipe import TrainingRecipe

MASKING = "masking.toml"  # beside the weights of a model that we trained


def save_masking(masking: MaskingConfig, folder: Path) -> None:
    """Write how a model was masked in training into its folder.

    Raises:
        IncoderError: the file cannot be written.
    """
    save_recipe(masking, folder / MASKING)


def masking_of(folder: Path) -> MaskingConfig | None:
    """How the model in a folder was masked in training; None if nothing there says so.

    Raises:
        IncoderError: the file that should say it is damaged.
    """
    if (folder / MASKING).is_file():
        return load_recipe(MaskingConfig, folder / MASKING, on_renamed=lambda _: None)
    run_recipe = folder.parent / "recipe.toml"  # of a run of before models had the file
    if folder.name == "model" and run_recipe.is_file():
        try:
            return load_recipe(TrainingRecipe, run_recipe, on_renamed=lambda _: None).masking
        except IncoderError:  # somebody else's recipe.toml
            return None
    return None


def with_start_masking(
    recipe: TrainingRecipe, on_note: Callable[[str], None], *, resumed_from: Path | None = None
) -> TrainingRecipe:
    """Fill in the masking keys that the recipe does not name from the model that it starts from.

    A run that is resumed from the folder `resumed_from` has filled them in already. `on_note` is called with
    what was filled in, or with a warning if the model does not say how it was masked.

    Raises:
        IncoderError: the file that says it is damaged, or there is no such model folder.
    """
    folder, named = recipe.model.start_folder, recipe.masking.model_fields_set
    unnamed = [key for key in MaskingConfig.model_fields if key not in named]
    if folder is None or not unnamed:
        return recipe
    if resumed_from is not None:
        path = resumed_from / "recipe.toml"
        inherited: MaskingConfig | None = load_recipe(TrainingRecipe, path, on_renamed=lambda _: None).masking
    elif folder.is_dir():
        inherited = masking_of(folder)
    else:
        raise IncoderError(f"there is no model folder {folder} to start from (model.start_from)")
    if inherited is None:
        on_note(
            f"warning: nothing in {folder} says how its model was masked in training, so masking has the "
            "defaults for what the recipe does not name; a model that was masked otherwise unlearns it"
        )
        return recipe
    taken = {key: getattr(inherited, key) for key in unnamed}
    merged = MaskingConfig(**{**taken, **{key: getattr(recipe.masking, key) for key in named}})
    if resumed_from is None:
        different = {key: value for key, value in taken.items() if value != getattr(MaskingConfig(), key)}
        named_values = ", ".join(f"{key} = {value}" for key, value in different.items())
        on_note(
            "masking that the recipe does not name is taken over from the training of "
            f"{folder}: {named_values or 'the defaults'}"
        )
    return recipe.model_copy(update={"masking": merged})
