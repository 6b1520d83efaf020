"""Docstrings: write the first line of a function's docstring, from its code (CodeXGLUE; paper, section 4.5).

Rows have the fields of CodeXGLUE's code-to-text files. The hole begins right after the opening quotes. After
it come the rest of the function, without closing quotes, and the end of the file, as in the authors' fork of
lm-evaluation-harness. Only the first line of an infill counts.

CodeXGLUE's files have functions in Python 2, too, whose docstrings are found by their tokens; rows in which
that fails are left out.
"""

import ast
import io
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from incoder.evaluation.benchmark import Benchmark, Prompt, Task
from incoder.evaluation.benchmark_row import reader
from incoder.evaluation.bleu import smoothed_bleu
from incoder.tags import closing_tag

_QUOTES = '"""'
_END_OF_FILE = "\n" + closing_tag("file")
_NOT_CODE = (tokenize.COMMENT, tokenize.NL)


@dataclass(frozen=True, slots=True)
class Docstring(Task):
    """A row of the file.

    `code` is a function with its docstring, and `docstring_tokens` are the words of the reference (in
    CodeXGLUE, of the first paragraph). `repo` groups functions, and `url` is unique.
    """

    repo: str
    path: str
    func_name: str
    url: str
    code: str
    docstring_tokens: tuple[str, ...]

    def __post_init__(self) -> None:
        split_at_docstring(self.code)

    @property
    def key(self) -> str:
        return self.url

    @property
    def problem(self) -> str:
        return self.repo

    @property
    def reference(self) -> str:
        """The words in one line; Moses would join some of them, which makes no difference to the score."""
        return " ".join(" ".join(self.docstring_tokens).split())

    @property
    def gold(self) -> str:
        return self.reference

    def prompt_for(self, method: str) -> Prompt:
        del method
        split = split_at_docstring(self.code)
        assert split is not None, "_read leaves such rows out"
        before, after = split
        return Prompt((before + _QUOTES, after + _END_OF_FILE), stop=(_QUOTES,))

    def completion(self, infills: Sequence[str], method: str) -> str:
        del method
        return infills[0].strip().partition("\n")[0].strip()

    def rates(self, completion: str) -> Mapping[str, float | None]:
        return {"bleu": smoothed_bleu(completion, self.reference)}


def split_at_docstring(code: str) -> tuple[str, str] | None:
    """Split a function's source into the text before its docstring's literal and the text after it.

    Returns None if `code` is of another version of Python and its docstring cannot be found.

    Raises:
        ValueError: `code` is not one function with a docstring.

    >>> split_at_docstring("def f():\\n    'Do it.'\\n    return 1\\n")
    ('def f():\\n    ', '\\n    return 1\\n')
    """
    try:
        statements = ast.parse(code).body
    except (SyntaxError, ValueError):
        return _split_at_tokens(code)
    if len(statements) != 1:
        raise ValueError("code: is not one function")
    (function,) = statements
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or not ast.get_docstring(function):
        raise ValueError("code: is not one function with a docstring")
    docstring = function.body[0]
    lines = code.encode().splitlines(keepends=True)
    assert docstring.end_lineno is not None
    assert docstring.end_col_offset is not None
    before = b"".join(lines[: docstring.lineno - 1]) + lines[docstring.lineno - 1][: docstring.col_offset]
    after = lines[docstring.end_lineno - 1][docstring.end_col_offset :] + b"".join(
        lines[docstring.end_lineno :]
    )
    return before.decode(), after.decode()


def _split_at_tokens(code: str) -> tuple[str, str] | None:
    """The same by tokens; None unless the first indented token is a string that is alone in its lines."""
    tokens = (
        token for token in tokenize.generate_tokens(io.StringIO(code).readline) if token.type not in _NOT_CODE
    )
    try:
        for token in tokens:
            if token.type == tokenize.INDENT:
                docstring, end = islice(tokens, 2)
                break
        else:
            return None
    except (tokenize.TokenError, SyntaxError, ValueError):
        return None
    if docstring.type != tokenize.STRING or end.type != tokenize.NEWLINE:
        return None
    lines = io.StringIO(code).readlines()
    places = [sum(map(len, lines[: line - 1])) + column for line, column in (docstring.start, docstring.end)]
    return code[: places[0]], code[places[1] :]


_read_docstring = reader(Docstring)


def _read(row: Mapping[str, Any], number: int) -> Task | None:
    task = _read_docstring(row, number)
    return None if split_at_docstring(task.code) is None else task


BENCHMARKS = (
    Benchmark(
        "docstrings",
        "Write the docstring of a function.",
        read=_read,
        file_name="docstrings.jsonl",
        origin="CodeXGLUE's code-to-text data for Python, or incoder eval build docstrings",
        headline="bleu",
        max_new_tokens=64,
        rank_by="mean",
    ),
)
