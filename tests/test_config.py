from pathlib import Path

import pytest

from incoder.config import Recipe, UserPath, load_recipe, save_recipe
from incoder.errors import IncoderError


class Optimizer(Recipe):
    lr: float = 1e-3
    name: str = "adamw"


class Run(Recipe):
    corpus: UserPath = Path("corpus")
    steps: int = 100
    optimizer: Optimizer = Optimizer()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text("steps = 200\n[optimizer]\nlr = 0.01\n", encoding="utf-8")
    return path


def test_a_recipe_says_only_what_differs_from_the_defaults(file: Path) -> None:
    assert load_recipe(Run, file) == Run(steps=200, optimizer=Optimizer(lr=0.01))
    assert load_recipe(Run, None) == Run()


def test_the_command_line_wins_over_the_file(file: Path) -> None:
    recipe = load_recipe(Run, file, ["optimizer.lr=3e-4", "optimizer.name=muon", "steps=7"])
    assert recipe == Run(steps=7, optimizer=Optimizer(lr=3e-4, name="muon"))


def test_what_was_resolved_is_saved_and_reads_back_the_same(file: Path, tmp_path: Path) -> None:
    recipe = load_recipe(Run, file)
    save_recipe(recipe, tmp_path / "resolved.toml")
    assert load_recipe(Run, tmp_path / "resolved.toml") == recipe
    assert 'name = "adamw"' in (tmp_path / "resolved.toml").read_text(encoding="utf-8")


def test_the_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert load_recipe(Run, None, ["corpus=~/code"]).corpus == Path("/home/someone/code")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.rl=1", r"unknown key optimizer\.rl; did you mean optimizer\.lr\?"),
        ("step=1", r"unknown key step; did you mean steps\?"),
        ("steps=many", "steps: .*got 'many'"),
        ("steps", "takes KEY=VALUE"),
        ("=1", "takes KEY=VALUE"),
        ("steps.more=1", "steps is a value, not a section"),
    ],
)
def test_a_mistake_names_the_key_and_what_was_meant(file: Path, override: str, message: str) -> None:
    with pytest.raises(IncoderError, match=message):
        load_recipe(Run, file, [override])


def test_a_file_that_is_not_there_or_not_toml_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="cannot read the recipe"):
        load_recipe(Run, tmp_path / "missing.toml")
    (tmp_path / "bad.toml").write_text("steps = = 1")
    with pytest.raises(IncoderError, match="is not valid TOML"):
        load_recipe(Run, tmp_path / "bad.toml")
