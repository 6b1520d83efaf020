"""The settings of a run, and the length of its training."""

from pathlib import Path

import pytest
import torch

from incoder.config import load_recipe
from incoder.corpus.storage.documents import MANIFEST
from incoder.errors import IncoderError
from incoder.finetuning import training_recipe as lengths
from incoder.finetuning.settings import CORPUS, FineTuning, begin
from incoder.finetuning.training_recipe import base_name, with_length
from incoder.training.inputs import RunInputs
from incoder.training.recipe import TrainingRecipe


class Tokens:
    """Of a training shard, its number of tokens."""

    num_tokens = 100_000


class Inputs:
    training = Tokens()


def length(monkeypatch: pytest.MonkeyPatch, settings: FineTuning) -> TrainingRecipe:
    """The recipe with its length, on a machine that trains 1,000 tokens a second."""
    monkeypatch.setattr(lengths, "tokens_per_second", lambda *_: 1000.0)
    paths = ["tokens=x", "tokenizer=mini", "model.start_from=mini", "training.tokens_per_step=1024"]
    recipe = load_recipe(TrainingRecipe, None, [*paths, *settings.overrides])
    inputs: RunInputs = Inputs()  # type: ignore[assignment] # nothing else of them is read
    return with_length(recipe, settings, inputs, torch.device("cpu"))


def test_the_epochs_bound_the_steps_and_so_do_the_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = (Path("src"),)
    assert length(monkeypatch, FineTuning(folders=folders, epochs=2.0)).training.steps == 195
    two_minutes = length(monkeypatch, FineTuning(folders=folders, minutes=2.0)).training.steps
    assert two_minutes * 1024 / 1000 < 2 * 60  # evaluations need the rest
    assert two_minutes > 60
    assert length(monkeypatch, FineTuning(folders=folders, minutes=0.001)).training.steps == 1


def test_what_follows_from_the_steps_is_set_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = FineTuning(folders=(Path("src"),), overrides=("training.steps=80", "evaluation.every=7"))
    recipe = length(monkeypatch, settings)
    assert recipe.training.steps == 80
    assert recipe.evaluation.every == 7
    assert recipe.training.checkpoint_every == 10
    assert recipe.optimizer.warmup_steps == 8


def test_a_base_model_goes_by_its_name_or_by_its_absolute_folder(tmp_path: Path) -> None:
    folders = (tmp_path,)
    assert base_name(FineTuning(folders=folders, model="mini")) == "mini"
    assert base_name(FineTuning(folders=folders, model="owner/model")) == "owner/model"
    assert base_name(FineTuning(folders=folders, model=str(tmp_path))) == str(tmp_path)


def test_a_run_without_a_corpus_may_begin_again_with_other_settings(tmp_path: Path) -> None:
    first, second = (FineTuning(folders=(tmp_path,), rank=rank) for rank in (2, 4))
    (tmp_path / "run").mkdir()
    begin(first, tmp_path / "run", resume=False)
    begin(second, tmp_path / "run", resume=False)
    (tmp_path / "run" / CORPUS).mkdir()
    (tmp_path / "run" / CORPUS / MANIFEST).write_text("{}")
    begin(second, tmp_path / "run", resume=True)
    with pytest.raises(IncoderError, match="rank was 4, now 2"):
        begin(first, tmp_path / "run", resume=True)
