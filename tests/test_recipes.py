"""The recipes keep the held-out projects out of every list, and say so."""

import importlib.util
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from incoder.config import load_recipe
from incoder.corpus.decontamination.held_out import comparable, held_out_names
from incoder.corpus.recipe import CorpusRecipe
from incoder.errors import IncoderError
from incoder.training.recipe import TrainingRecipe

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
HELD_OUT = RECIPES / "mini" / "held-out.txt"
PACKAGE_LISTS = sorted(path for path in RECIPES.rglob("*.txt") if path != HELD_OUT)
CORPUS_RECIPES = sorted((RECIPES / "mini").glob("*corpus*.toml"))
TRAINING_RECIPES = sorted(RECIPES.glob("*/*.toml"))


@pytest.mark.parametrize("path", PACKAGE_LISTS, ids=lambda path: path.name)
def test_no_package_list_has_a_held_out_project(path: Path) -> None:
    assert not set(held_out_names(path)) & set(held_out_names(HELD_OUT))


@pytest.mark.parametrize("path", CORPUS_RECIPES, ids=lambda path: path.name)
def test_corpus_recipes_of_mini_read_the_list_and_hold_out_nothing_else_to_choose_by(path: Path) -> None:
    recipe = load_recipe(CorpusRecipe, path)
    assert recipe.decontamination.held_out == HELD_OUT
    assert recipe.decontamination.held_out_code is not None
    names = set(held_out_names(HELD_OUT))
    chosen = {*recipe.validation_projects}
    for source in recipe.sources:
        chosen |= set(getattr(source, "names", None) or ())
    assert not names & set(map(comparable, chosen))


@pytest.mark.parametrize("path", TRAINING_RECIPES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_recipe_can_be_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if "[[sources]]" in text:
        load_recipe(CorpusRecipe, path)
    elif "\n[training]" in text:
        load_recipe(TrainingRecipe, path)


def test_measured_versions_are_pinned() -> None:
    lines = HELD_OUT.read_text(encoding="utf-8").splitlines()
    assert all("==" in line for line in lines if line and not line.startswith("#"))


def test_the_weights_of_project_memory_are_never_fitted_to_a_held_out_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = RECIPES / "mini" / "memory_weights.py"
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location("memory_weights", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    observed = tmp_path / "some.npz"
    np.savez(observed, project=np.array("Flask"))
    with pytest.raises(IncoderError, match="Flask must not be fitted to"):
        script.fit(Namespace(observations=[observed], output=tmp_path / "memory.json"))
