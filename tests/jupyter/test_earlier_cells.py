"""Which earlier cells a model sees."""

from types import SimpleNamespace

from incoder.jupyter.earlier_cells import EarlierCells


def sources(cells: EarlierCells, *inputs: str) -> list[str]:
    return [cell.source for cell in cells.context(inputs, "<FILL>")]


def ended(source: str, *, success: bool) -> SimpleNamespace:
    return SimpleNamespace(info=SimpleNamespace(raw_cell=source), success=success)


def test_a_cell_that_ran_twice_is_seen_where_it_ran_last() -> None:
    assert sources(EarlierCells(), "a = 1", "b = 2", "a = 1\n") == ["b = 2", "a = 1"]


def test_magics_of_ours_blank_cells_and_cells_with_a_marker_are_left_out() -> None:
    inputs = ("%load_ext incoder.jupyter", "%%infill\nx = <FILL>", " %infill x<FILL>", " \n", "'<FILL>'", "y")
    assert sources(EarlierCells(), *inputs) == ["y"]


def test_a_cell_that_failed_is_left_out_until_it_succeeds() -> None:
    cells = EarlierCells()
    cells.after_cell(ended("a = b\n", success=False))
    assert sources(cells, "a = b", "c") == ["c"]
    cells.after_cell(ended("a = b", success=True))
    assert sources(cells, "a = b", "c", "a = b") == ["c", "a = b"]


def test_a_long_session_is_seen_from_its_end() -> None:
    assert sources(EarlierCells(), "a" * 40_000, "b" * 40_000, "c") == ["b" * 40_000, "c"]
