import pytest

from incoder.editing.renaming.majority_vote import majority_vote


@pytest.mark.parametrize(
    ("fills", "name"),
    [
        (["a", "b", "b"], "b"),
        (["a", "b"], "a"),
        (["", "1", "b.c"], "b"),
        ([" größe"], "größe"),
        (["", "("], None),
        ([], None),
    ],
)
def test_the_majority_of_the_identifiers_wins_and_the_first_of_a_tie(
    fills: list[str], name: str | None
) -> None:
    assert majority_vote(fills) == name
