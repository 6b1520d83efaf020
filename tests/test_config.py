from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

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


class Section(Recipe):
    renamed: ClassVar[Mapping[str, str]] = {"speed": "rate"}

    rate: float = 1.0


class Renamed(Recipe):
    section: Section = Section()


@pytest.mark.parametrize(
    ("text", "overrides", "rate"),
    [
        ("[section]\nspeed = 2.0", [], 2.0),
        ("", ["section.speed=3.0"], 3.0),
        ("[section]\nrate = 2.0", ["section.speed=3.0"], 3.0),
        ("[section]\nspeed = 2.0", ["section.rate=3.0"], 3.0),
        ("", ["section={speed=4.0}"], 4.0),
    ],
)
def test_a_renamed_key_is_read_by_its_earlier_name_with_a_note(
    tmp_path: Path, text: str, overrides: list[str], rate: float
) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.warns(FutureWarning, match=r"section\.speed is called section\.rate now"):
        assert load_recipe(Renamed, path, overrides).section.rate == rate
    noted: list[str] = []
    load_recipe(Renamed, path, overrides, on_renamed=noted.append)
    assert len(noted) == 1


def test_a_key_by_both_its_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("[section]\nspeed = 2.0\nrate = 1.0")
    with pytest.raises(IncoderError, match=r"section\.speed is the earlier name of section\.rate"):
        load_recipe(Renamed, path)


class Folder(Recipe):
    kind: Literal["folder"]
    path: str


class Table(Recipe):
    kind: Literal["table"]
    columns: str = ""


class Sources(Recipe):
    sources: Annotated[
        tuple[Annotated[Folder | Table, Field(discriminator="kind")], ...], Field(min_length=1)
    ]


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ('kind = "folder"\npth = "x"\npath = "y"', "unknown key sources.0.pth; did you mean sources.0.path?"),
        ('kind = "table"\ncolumn = "x"', "unknown key sources.0.column; did you mean sources.0.columns?"),
        ('kind = "folder"', "the key sources.0.path is missing, and it has no default"),
        ('kind = "folder"\npth = "x"', "unknown key sources.0.pth; did you mean sources.0.path?"),
    ],
)
def test_a_mistake_in_a_list_is_named_alone_and_by_its_place(
    source: str, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f"[[sources]]\n{source}\n")
    with pytest.raises(IncoderError) as raised:
        load_recipe(Sources, path)
    assert str(raised.value) == f"{path}: {complaint}"


def test_a_misspelt_list_of_sections_is_one_complaint(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('[[source]]\nkind = "folder"\npath = "x"\n')
    with pytest.raises(IncoderError) as raised:
        load_recipe(Sources, path)
    assert str(raised.value) == f"{path}: unknown key source; did you mean sources?"


def test_a_missing_key_is_named_beside_an_unknown_one_that_is_unlike_it() -> None:
    with pytest.raises(IncoderError) as raised:
        load_recipe(Sources, None, ["colour=1"])
    assert str(raised.value).splitlines() == [
        "the recipe: the key sources is missing, and it has no default",
        "the recipe: unknown key colour; the keys are sources",
    ]


def test_a_list_that_is_too_short_is_still_named() -> None:
    with pytest.raises(IncoderError, match="sources: Tuple should have at least 1 item"):
        load_recipe(Sources, None, ["sources=[]"])


def test_a_file_that_is_not_there_or_not_toml_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(IncoderError, match="cannot read the recipe"):
        load_recipe(Run, tmp_path / "missing.toml")
    (tmp_path / "bad.toml").write_text("steps = = 1")
    with pytest.raises(IncoderError, match="is not valid TOML"):
        load_recipe(Run, tmp_path / "bad.toml")
