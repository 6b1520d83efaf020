from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, cast

from incoder.editing.fault_localization import suspicious_lines
from incoder.editing.test_run.runner import Outcome

TEXT = "import re\n\nx = 1\ny = 2\n"
PATH = PurePath("a.py")


class Surprised:
    """Finds the fourth line least probable, then the first."""

    def line_logprobs(self, text: str, **_: Any) -> Sequence[float]:
        return [-3.0, -9.0, -1.0, -5.0][: text.count("\n")]


def suspects(
    text: str, path: PurePath | None = PATH, output: str | None = None, max_lines: int = 9
) -> list[int]:
    outcome = None if output is None else Outcome("failed", output)
    return list(suspicious_lines(cast(Any, Surprised()), text, path, outcome, max_lines))


def test_a_file_that_does_not_parse_is_suspicious_where_it_does_not() -> None:
    assert suspects("import re\n\nz ==\ny = 2\n") == [3]


def test_lines_that_a_failure_names_come_before_improbable_ones() -> None:
    assert suspects(TEXT, output='File "a.py", line 3, in f\n') == [3, 4, 1]


def test_blank_lines_are_not_suspicious_and_there_is_a_limit() -> None:
    assert suspects(TEXT) == [4, 1, 3]
    assert suspects(TEXT, max_lines=1) == [4]


def test_in_other_languages_only_probability_counts() -> None:
    assert suspects("x = (\ny\n", PurePath("a.js")) == [2, 1]
