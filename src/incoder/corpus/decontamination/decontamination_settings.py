"""Benchmarks, repositories and projects that a corpus must not contain: the schema of `[decontamination]`."""

from typing import Annotated

from pydantic import Field

from incoder.config import Recipe, RecipePath, UserPath

# In the order in which they make one text: the infilling benchmarks' solution comes before their suffix.
TASK_FIELDS = (
    "text",
    "docstring",
    "prompt",
    "canonical_solution",
    "solution",
    "code",
    "suffix",
    "test_setup_code",
    "test",
    "tests",
    "test_list",
    "challenge_test_list",
)


class DecontaminationSettings(Recipe):
    """`repositories` are lists of repositories to leave out: lines of `owner/name` or of URLs, or JSON lines
    with a field `repo` such as CodeSearchNet's. With `by_name_alone` every owner's repository of that name
    goes, forks and copies included, as in the authors' code.

    `benchmarks` are files of tasks: JSON lines such as HumanEval's, a JSON array, or parquet. A document
    that shares a run of `num_words` words with a task goes, whatever their case and punctuation. The text of
    a task is what its `fields` hold.

    `held_out` is a list of projects that models are measured on, one a line, beside the recipe: they are left
    out, and so is every folder with the name of one. Near copies of the code in the folder `held_out_code`,
    whose entries are those projects, are left out as well, by `deduplication.near_threshold`.
    """

    held_out: RecipePath | None = None
    held_out_code: UserPath | None = None

    repositories: tuple[UserPath, ...] = ()
    by_name_alone: bool = False
    benchmarks: tuple[UserPath, ...] = ()
    num_words: Annotated[int, Field(ge=5)] = 10
    fields: tuple[str, ...] = TASK_FIELDS
