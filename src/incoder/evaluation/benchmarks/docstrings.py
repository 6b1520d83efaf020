"""Docstrings: the first line of a function's documentation, from its code (CodeXGLUE; paper, section 4.5).

The row's fields are those of CodeXGLUE's code-to-text files. The hole stands behind the opening quotes, with
no blank; behind it comes the rest of the function, without closing quotes, and the end of the file, as in the
authors' fork of lm-evaluation-harness. Of what is written the first line counts.

CodeXGLUE's files hold Python 2 as well, whose docstrings are found by their tokens; rows where that fails are
left out.
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
_LAYOUT = (tokenize.COMMENT, tokenize.NL)


@dataclass(frozen=True, slots=True)
class Docstring(Task):
    """A row of the file.

    `code` is a function with its docstring, `docstring_tokens` the words of the part that counts (CodeXGLUE:
    the first paragraph). `repo` groups functions, `url` tells them apart.
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
        """The words in one line; that Moses would join some again makes no difference to the score."""
        return " ".join(" ".join(self.docstring_tokens).split())

    @property
    def gold(self) -> str:
        return self.reference

    def prompt_for(self, method: str) -> Prompt:
        del method
        split = split_at_docstring(self.code)
        assert split is not None, "_read leaves such rows out"
        before, behind = split
        return Prompt((before + _QUOTES, behind + _END_OF_FILE), stop=(_QUOTES,))

    def completion(self, infills: Sequence[str], method: str) -> str:
        del method
        return infills[0].strip().partition("\n")[0].strip()

    def rates(self, completion: str) -> Mapping[str, float | None]:
        return {"bleu": smoothed_bleu(completion, self.reference)}


def split_at_docstring(code: str) -> tuple[str, str] | None:
    """What stands before the docstring's quotes and what behind them, of a function's source.

    None where `code` is of another Python than ours and does not show its docstring.

    Raises:
        ValueError: `code` is not one function with a docstring.
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
    behind = lines[docstring.end_lineno - 1][docstring.end_col_offset :] + b"".join(
        lines[docstring.end_lineno :]
    )
    return before.decode(), behind.decode()


def _split_at_tokens(code: str) -> tuple[str, str] | None:
    """The same, where the first thing that is indented is a string that has its lines to itself."""
    tokens = (
        token for token in tokenize.generate_tokens(io.StringIO(code).readline) if token.type not in _LAYOUT
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
