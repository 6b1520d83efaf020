import pytest

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.splits import division_of, file_group, validation_names
from incoder.errors import IncoderError

PROJECTS = [f"owner/project{number}" for number in range(1000)]


def recipe(**settings: object) -> CorpusRecipe:
    return CorpusRecipe.model_validate({"sources": [{"kind": "standard-library"}], **settings})


def test_about_the_asked_share_of_projects_is_held_out() -> None:
    assert 60 < len(validation_names(PROJECTS, recipe(validation_fraction=0.1))) < 140


def test_forks_stay_with_their_original() -> None:
    names = validation_names([*PROJECTS, "fork/Project7"], recipe(validation_fraction=0.5))
    assert names == validation_names(PROJECTS, recipe(validation_fraction=0.5))


def test_a_project_stays_where_it_is_when_others_are_added() -> None:
    few = validation_names(PROJECTS[:500], recipe(validation_fraction=0.1))
    assert few <= validation_names(PROJECTS, recipe(validation_fraction=0.1))


def test_at_least_one_of_two_projects_is_held_out() -> None:
    assert len(validation_names(PROJECTS[:2], recipe(validation_fraction=1e-9))) == 1
    assert not validation_names(PROJECTS[:1], recipe(validation_fraction=1e-9))
    assert not validation_names(PROJECTS, recipe(validation_fraction=0))


def test_named_projects_are_held_out_instead() -> None:
    chosen = recipe(validation_projects=["Project3"], validation_fraction=1.0)
    assert validation_names(PROJECTS, chosen) == {"project3"}


def test_a_named_project_must_be_there() -> None:
    with pytest.raises(IncoderError, match="got nobody"):
        validation_names(PROJECTS, recipe(validation_projects=["project3", "Nobody"]))


def test_files_of_one_name_are_held_out_where_there_is_one_project() -> None:
    names = [f"{kind}{number}.py" for number in range(200) for kind in ("src/m", "tests/test_m")]
    division = division_of({"one": 1000}, lambda: names, recipe(validation_fraction=0.1))
    held_out = {name for name in names if division.split_of("one", name) == "validation"}
    assert division.by_files
    assert 16 < len(held_out) < 80
    assert {file_group(name) for name in held_out}.isdisjoint(
        file_group(name) for name in set(names) - held_out
    )


def test_projects_that_hold_most_of_the_text_are_not_held_out_whole() -> None:
    settings = recipe(validation_fraction=1e-9)
    (drawn,) = validation_names(["a", "b"], settings)
    other = "b" if drawn == "a" else "a"
    assert not division_of({drawn: 10, other: 90}, list, settings).by_files
    assert division_of({drawn: 90, other: 10}, lambda: ["x.py", "y.py"], settings).by_files


def test_a_single_file_is_trained_on() -> None:
    division = division_of({"one": 10}, lambda: ["a.py"], recipe(validation_fraction=0.9))
    assert division.split_of("one", "a.py") == "train"


def test_files_of_all_projects_are_held_out_if_the_recipe_holds_out_files() -> None:
    names = [f"m{number}.py" for number in range(200)]
    sizes = {"one": 50, "two": 50}
    division = division_of(sizes, lambda: names, recipe(validation_fraction=0.1, hold_out="files"))
    assert division.by_files
    held_out = {name for name in names if division.split_of("one", name) == "validation"}
    assert held_out == {name for name in names if division.split_of("two", name) == "validation"}
    assert 8 < len(held_out) < 40
    with pytest.raises(ValueError, match="validation_projects are whole projects"):
        recipe(hold_out="files", validation_projects=["one"])
