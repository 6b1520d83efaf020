"""Checks of a build's output folder, made before anything is written there."""

from pathlib import Path

from incoder.config import load_recipe
from incoder.corpus.recipe import NOT_IN_THE_CORPUS, RECIPE, CorpusRecipe
from incoder.corpus.sources.listing import source_paths
from incoder.corpus.storage.documents import MANIFEST
from incoder.errors import IncoderError


def refuse_other_settings(recipe: CorpusRecipe, output: Path) -> None:
    """Refuse a folder with a finished corpus, unless the same recipe made it.

    Raises:
        IncoderError: another recipe made it; the settings that differ are named.
    """
    saved = output / RECIPE
    if not (output / MANIFEST).is_file() or not saved.is_file():
        return
    try:
        old = load_recipe(CorpusRecipe, saved).model_dump(exclude=set(NOT_IN_THE_CORPUS))
    except IncoderError:  # of a version that knew other settings
        old = {}
    new = recipe.model_dump(exclude=set(NOT_IN_THE_CORPUS))
    if different := [name for name in new if old.get(name) != new[name]]:
        raise IncoderError(
            f"{output} holds a corpus of other settings ({', '.join(different)}), which this build would "
            "replace; name another --output, or delete that folder first"
        )


def refuse_source_as_output(recipe: CorpusRecipe, output: Path) -> None:
    """Refuse an output that is, contains or is inside a source: the corpus could read or replace itself.

    Raises:
        IncoderError: the output is such a folder.
    """
    folder = output.resolve()
    for path in source_paths(recipe):
        source = path.resolve()
        if source == folder:
            relation = "is"
        elif source in folder.parents:
            relation = "is inside"
        elif folder in source.parents:
            relation = "holds"
        else:
            continue
        raise IncoderError(
            f"the output {output} {relation} the source {path}, so that the corpus could read or replace "
            "itself; name an --output apart from all sources"
        )
