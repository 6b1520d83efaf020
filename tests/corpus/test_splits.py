import pytest

from incoder.corpus.recipe import CorpusRecipe
from incoder.corpus.splits import validation_names
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
