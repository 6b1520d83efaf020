"""The settings of a fine-tuning run, which its folder keeps; how a run is resumed follows from them."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt

from incoder.config import Recipe, UserPath, load_recipe, save_recipe
from incoder.corpus.licences.expressions import licence_id
from incoder.corpus.storage.documents import MANIFEST
from incoder.corpus.text.languages import language_named
from incoder.errors import IncoderError

FILE = "finetune.toml"  # in the folder of a run
CORPUS = "corpus"  # the corpus's folder there
_MAX_RANK = 1024  # as in model/adapters.py, which imports torch
_SMALL = 200_000_000  # weights: smaller models bear higher rates, and learn little at lower ones


class FineTuning(Recipe):
    """What a model is fine-tuned on, how, and what is held out to judge it.

    `held_out` is the share of the groups of files from which the holes are drawn, at most `num_holes` of
    them, each with about `context` characters before it. `overrides` replace settings of the training recipe.
    """

    folders: Annotated[tuple[UserPath, ...], Field(min_length=1)]
    model: str = "mini"
    revision: str | None = None
    full: bool = False
    rank: Annotated[int, Field(ge=1, le=_MAX_RANK)] = 16
    alpha: PositiveFloat | None = None  # twice the rank
    lr: PositiveFloat | None = None
    epochs: PositiveFloat = 3.0
    minutes: PositiveFloat | None = None
    held_out: Annotated[float, Field(gt=0.0, le=0.5)] = 0.15
    num_holes: PositiveInt = 400
    context: PositiveInt = 4000
    licences: tuple[Annotated[str, AfterValidator(licence_id)], ...] = ()
    languages: tuple[Annotated[str, AfterValidator(language_named)], ...] = ()
    humaneval: UserPath | None = None
    humaneval_limit: PositiveInt | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    overrides: tuple[str, ...] = ()

    @property
    def scale(self) -> float:
        """The adapter's alpha."""
        return 2.0 * self.rank if self.alpha is None else self.alpha

    def learning_rate(self, num_parameters: int) -> float:
        """The peak rate, by default one that suits the size of the model.

        >>> settings = FineTuning(folders=("src",))
        >>> settings.learning_rate(26_700_000), settings.learning_rate(1_500_000_000)
        (0.001, 0.0002)
        """
        if self.lr is not None:
            return self.lr
        rate = 1e-3 if num_parameters < _SMALL else 2e-4
        return rate / 5 if self.full else rate


def begin(settings: FineTuning, output: Path, *, resume: bool) -> None:
    """Save the settings into a new run's folder, or compare them with those that it was started with.

    A run that has no corpus yet, because it was refused or stopped early, may begin again with others.

    Raises:
        IncoderError: the folder has a run and `resume` is False, or a run with other settings, or files of
            somebody else.
    """
    path = output / FILE
    if not (path.is_file() and (output / CORPUS / MANIFEST).is_file()):
        ours = {".lock", FILE, CORPUS} if path.is_file() else {".lock"}
        foreign = sorted({one.name for one in output.iterdir()} - ours) if output.is_dir() else []
        if foreign:
            raise IncoderError(
                f"{output} holds {foreign[0]}, which no fine-tuning run wrote; name another --output"
            )
        save_recipe(settings, path)
        return
    if not resume:
        raise IncoderError(f"{output} already holds a run; go on with --resume, or name another --output")
    saved = load_recipe(FineTuning, path)
    different = [
        f"{name} was {_shown(getattr(saved, name))}, now {_shown(value)}"
        for name, value in settings
        if getattr(saved, name) != value
    ]
    if different:
        raise IncoderError(
            f"the run in {output} was started with other settings ({'; '.join(different)}); resume it with "
            "the same ones, or name another --output"
        )


def _shown(value: object) -> str:
    values = value if isinstance(value, tuple) else (value,)
    return ", ".join("not given" if one is None else str(one) for one in values) or "not given"
