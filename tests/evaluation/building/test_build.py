"""Rows from code: the gold text is in its old place, and nothing gives it away."""

import ast
import json
from pathlib import Path

import pytest

from incoder.errors import IncoderError
from incoder.evaluation.benchmarks.docstrings import split_at_docstring
from incoder.evaluation.building.build import build

CODE = '''"""A module."""
import os


class Shop:
    def price(self, amount: int, rate: float = 1.0, *more: str) -> "float | None":
        """What an amount costs.

        With the rate of the day.
        """
        total: float = amount * rate
        return max(total, min(0, amount)) if total else None

    def nothing(self, other: int) -> None:
        for number in range(other):
            print(number)
        number = 0


def short(): return 1
'''
COPY = "def alpha(value):\n    result = value\n    result += 1\n    return result\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "code"
    (root / "shop").mkdir(parents=True)
    (root / "shop" / "shop.py").write_text(CODE)
    (root / "shop" / "copy.py").write_text(COPY)
    (root / "other.py").write_text("\n\n" + COPY)
    (root / "broken.py").write_text("def f(:\n    pass\n    pass\n")
    (root / "latin.py").write_bytes(b"x = '\xe9'\n")
    return root


def rows(
    task: str, folder: Path, tmp_path: Path, limit: int | None = None, seed: int = 0
) -> list[dict[str, object]]:
    built = build(task, folder, tmp_path / "out", limit=limit, seed=seed)
    lines = built.path.read_text().splitlines()
    assert len(lines) == built.num_rows
    return [json.loads(line) for line in lines]


def test_a_return_type_is_a_hole_and_no_other_annotation_is_left(folder: Path, tmp_path: Path) -> None:
    price, nothing = rows("return-types", folder, tmp_path)
    assert price["return_type"] == "float | None"
    assert price["prefix"] == "def price(self, amount, rate = 1.0, *more) -> "
    assert str(price["suffix"]).startswith(':\n    """What')
    assert "total = amount * rate" in str(price["suffix"])
    assert (price["returns_value"], nothing["returns_value"]) == (True, False)
    assert (price["project"], price["task_id"]) == ("shop", "shop/shop.py:6:Shop.price")


def test_a_variable_is_taken_out_everywhere(folder: Path, tmp_path: Path) -> None:
    for row in rows("variable-names", folder, tmp_path):
        parts, variable = row["parts"], str(row["variable"])
        assert isinstance(parts, list)
        assert len(variable) >= 4
        assert not any(variable in part for part in parts)
        ast.parse(variable.join(parts))


def test_a_docstrings_first_paragraph_counts(folder: Path, tmp_path: Path) -> None:
    (row,) = rows("docstrings", folder, tmp_path)
    assert row["docstring_tokens"] == ["What", "an", "amount", "costs", "."]
    split = split_at_docstring(str(row["code"]))
    assert split is not None
    assert split[0].endswith("    ")


def test_a_call_of_max_or_min_is_the_hole_of_a_cloze(folder: Path, tmp_path: Path) -> None:
    (row,) = rows("cloze", folder, tmp_path)
    before, after = ("return ", "(total") if row["answer"] == "max" else ("(total, ", "(0, amount)")
    assert str(row["prefix"]).endswith(before)
    assert str(row["suffix"]).startswith(after)


def test_left_out_sources_are_counted(folder: Path, tmp_path: Path) -> None:
    counts = build("variable-names", folder, tmp_path / "out").counts
    assert counts == {
        "files": 3,
        "files that do not parse": 1,
        "files that cannot be read": 1,
        "functions": 3,
        "functions that are too short or too long": 1,
        "copies of functions": 1,
    }


def test_the_same_seed_draws_the_same_rows(folder: Path, tmp_path: Path) -> None:
    one, same = (rows("variable-names", folder, tmp_path, limit=2, seed=3) for _ in range(2))
    assert one == same
    assert len(one) == 2


def test_a_file_of_somebody_else_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    path = build("return-types", folder, tmp_path / "made").path
    build("return-types", folder, tmp_path / "made")
    path.with_suffix(".build.json").unlink()
    path.write_text("theirs")
    with pytest.raises(IncoderError, match=f"holds {path.name}, which would be replaced"):
        build("return-types", folder, tmp_path / "made")
    assert path.read_text() == "theirs"


def test_rows_that_were_added_to_a_file_stay(folder: Path, tmp_path: Path) -> None:
    path = build("return-types", folder, tmp_path / "made").path
    edited = path.read_text() + '{"mine": 1}\n'
    path.write_text(edited)
    with pytest.raises(IncoderError, match=f"holds {path.name}, which would be replaced"):
        build("return-types", folder, tmp_path / "made")
    assert path.read_text() == edited
    path.unlink()
    assert build("return-types", folder, tmp_path / "made").num_rows


def test_a_folder_without_such_functions_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(COPY)
    with pytest.raises(IncoderError, match=r"nothing in .* makes a row of cloze; there are 1 files"):
        build("cloze", tmp_path, tmp_path / "out")
    with pytest.raises(IncoderError, match="is not a folder"):
        build("cloze", tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(IncoderError, match="no Python files"):
        build("cloze", tmp_path / "empty", tmp_path / "out")
