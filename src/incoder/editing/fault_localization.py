"""Fault localization: rank the lines of a file by how suspicious they are."""

from collections.abc import Sequence
from pathlib import Path, PurePath

from incoder.editing.languages import PYTHON, language_of
from incoder.editing.lines import Lines
from incoder.editing.python_source import syntax_error_line
from incoder.editing.test_run.runner import Outcome
from incoder.model_protocol import Model


def suspicious_lines(
    model: Model, text: str, path: PurePath | None, outcome: Outcome | None, max_lines: int
) -> Sequence[int]:
    """Return the numbers of the most suspicious lines that are not blank, the most suspicious first.

    If the file does not parse, this is only the line of the syntax error. Otherwise the lines that the output
    of a failed command names come first, then those whose tokens are least probable on average.

    >>> suspicious_lines(model, "x = 1\\ny = )\\n", PurePath("a.py"), None, 3)
    [2]
    """
    lines = Lines(text)
    if language_of(path) is PYTHON and (number := syntax_error_line(text)) is not None:
        return [min(max(1, number), len(lines))]
    named = outcome.lines_of(Path(path)) if outcome is not None and path is not None else []
    logprobs = model.line_logprobs(text, path=path)
    improbable = sorted(range(1, len(logprobs) + 1), key=lambda number: logprobs[number - 1])
    numbers = dict.fromkeys([*named, *improbable])
    filled = [n for n in numbers if 1 <= n <= len(lines) and text[slice(*lines.span(n, n))].strip()]
    return filled[:max_lines]
