import pytest

from incoder.errors import IncoderError
from incoder.training.ranks import Place

OF_TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}


def test_a_process_reads_its_place_from_torchruns_variables() -> None:
    place = Place.of(OF_TORCHRUN)
    assert place is not None
    assert (place.rank, place.world_size, place.local_rank, place.local_world_size) == (5, 8, 1, 4)
    assert str(place).startswith("process 5 of 8 (")


def test_without_these_variables_a_run_has_one_process() -> None:
    assert Place.of({"HOME": "/root"}) is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"RANK": "x"}, r"RANK must be a whole number .*, got 'x'"),
        ({"RANK": "-1"}, r"RANK must be a whole number .*, got '-1'"),
        ({"WORLD_SIZE": ""}, r"WORLD_SIZE must be a whole number"),
        ({"WORLD_SIZE": "0"}, r"RANK must be less than WORLD_SIZE"),
        ({"RANK": "8"}, r"RANK must be less than WORLD_SIZE"),
        ({"LOCAL_RANK": "4"}, r"LOCAL_RANK less than LOCAL_WORLD_SIZE"),
    ],
)
def test_variables_that_make_no_sense_are_a_clear_error(changed: dict[str, str], message: str) -> None:
    with pytest.raises(IncoderError, match=message):
        Place.of({**OF_TORCHRUN, **changed})
