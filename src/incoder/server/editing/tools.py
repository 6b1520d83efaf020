"""The editing tools as functions of a request's body: a task in, changes out. Synchronous; knows no HTTP."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from incoder.editing.candidates import Change
from incoder.editing.defaults import DOCSTRING, EDIT, FIX, RENAME, TYPES
from incoder.editing.languages import UNNAMED_PYTHON, is_python, parse_problem, require_python
from incoder.editing.lines import Lines
from incoder.editing.python_source import PythonSource
from incoder.editing.selection import Selection
from incoder.extras import missing_extra
from incoder.model_protocol import Model
from incoder.request import InfillRequest
from incoder.server.fields import Fields
from incoder.server.request_error import RequestError
from incoder.server.settings import ServerSettings

if TYPE_CHECKING:
    from incoder.editing.test_run.runner import CommandRunner

_NUM_SUSPECTS = 3
_TEST_SECONDS = 60.0
_MYPY_SECONDS = 30.0
_MAX_OTHER_FILES = 256


@dataclass(frozen=True, slots=True)
class Task:
    """A text to change, what the body says of it, and the model; `settle` completes a request's template."""

    text: str
    body: Fields
    model: Model
    settle: Callable[[InfillRequest], InfillRequest]
    settings: ServerSettings

    @property
    def path(self) -> PurePath | None:
        """The path that names the language; it is not opened."""
        name = self.body.text("path", None)
        return PurePath(name) if name else None

    def template(self, default: InfillRequest) -> InfillRequest:
        """Return the tool's template with the body's settings."""
        body, sampling = self.body, default.sampling
        sampling = replace(
            sampling,
            temperature=body.number("temperature", sampling.temperature, 0, 100),
            max_new_tokens=body.whole("max_new_tokens", sampling.max_new_tokens, 1, 2**31),
            seed=body.whole("seed", sampling.seed, 0, 2**63 - 1),
        )
        count = body.whole("num_candidates", default.num_candidates, 1, 1024)
        return self.settle(replace(default, sampling=sampling, num_candidates=count))

    def selection(self) -> Selection | None:
        """Return the selected lines or definition; None if the body names neither."""
        lines, function = self.body.text("lines", None), self.body.text("function", None)
        if lines is None and function is None:
            return None
        return Selection.parse(lines, function, False)

    def python(self, task: str) -> tuple[PythonSource, PurePath]:
        """Return the text as Python.

        Raises:
            IncoderError: its path names another language, or it does not parse.
        """
        path = self.path or UNNAMED_PYTHON
        require_python(path, task)
        return PythonSource(self.text), path


Tool = Callable[[Task], Iterable[Change]]


def docstring(task: Task) -> Iterable[Change]:
    """Write or complete the docstrings of the selection, by default all that the file lacks."""
    from incoder.editing.docstring import incomplete, undocumented, write_docstrings

    source, path = task.python("docstring")
    selection = task.selection()
    targets = undocumented(source) if selection is None else [*selection.definitions(source)]
    chosen = incomplete(source, targets)
    return write_docstrings(task.model, source, chosen, task.template(DOCSTRING), path=path)


def types(task: Task) -> Iterable[Change]:
    """Write the missing annotations of parameters and returns; with `check`, only what mypy accepts.

    mypy sees the text alone: no file of its project, no settings and no plugins.
    """
    from incoder.editing.type_hints import write_annotations
    from incoder.editing.types.missing_annotations import missing_annotations
    from incoder.editing.types.type_checker import Mypy

    source, path = task.python("types")
    selection = task.selection() or Selection(is_all=True)
    chosen = [
        missing
        for missing in missing_annotations(source)
        if missing.kind in ("return", "parameter") and selection.has(source, missing.line, missing.owner)
    ]
    is_checked = task.body.switch("check", False) and bool(chosen)
    with Mypy(None, source.text, _MYPY_SECONDS) if is_checked else nullcontext() as checker:
        template = task.template(TYPES)
        return [*write_annotations(task.model, source, chosen, template, checker=checker, path=path)]


def rename(task: Task) -> Iterable[Change]:
    """Rename a variable to `to`, or to the name that the model finds most probable.

    `other_files` are texts of the project by path; a use in one of them is a reason against the renaming.
    """
    try:
        from incoder.editing.rename import find_variable, propose_names, rename_to
        from incoder.editing.renaming.project_references import project_references
        from incoder.editing.renaming.renaming import Renaming
        from incoder.editing.renaming.variables import Variables
    except ImportError as error:
        raise missing_extra("renaming needs libcst", "editing") from error

    source, path = task.python("rename")
    variables = Variables(source)
    selection = task.selection() or Selection(is_all=True)
    variable = find_variable(source, variables, task.body.required_text("name"), selection)
    used = project_references(variable, path, _other_files(task.body))
    force = task.body.switch("force", False)
    renaming = Renaming(source, variables, variable, force=force, others=[*used])
    new = task.body.text("to", None)
    if new is not None:
        return [rename_to(renaming, new)]
    change = propose_names(task.model, source, renaming, task.template(RENAME), path=path)
    return [] if change is None else [change]


def fix(task: Task) -> Iterable[Change]:
    """Rewrite the selected lines, or else suspicious ones, until the file parses or a test passes."""
    from incoder.editing.fault_localization import suspicious_lines
    from incoder.editing.fix import fix as rewrite

    text, path, selection = task.text, task.path, task.selection()
    with _runner(task) as runner:
        failed = None if runner is None else runner.run(text)
        if failed is not None and failed.failure is None:
            return []
        if selection is not None:
            spans = [selection.span(text)]
        else:
            numbers = suspicious_lines(task.model, text, path, failed, _NUM_SUSPECTS)
            spans = [Lines(text).span(number, number) for number in numbers]
        function = None if selection is None else selection.function
        run = None if runner is None else runner.run
        return rewrite(task.model, text, spans, task.template(FIX), run=run, function=function, path=path)


def edit(task: Task) -> Iterable[Change]:
    """Rewrite the selected lines as a comment asks."""
    from incoder.editing.required_definitions import RequiredDefinition, required_definitions
    from incoder.editing.rewrite import rewrite_lines

    text, path, selection = task.text, task.path, task.selection()
    comment = task.body.required_text("comment")
    if not comment.strip():
        raise task.body.error("comment", "must say something")
    if selection is None:
        raise task.body.error("lines", "must be given, or else function")
    span = selection.span(text)
    is_of_python = selection.function is not None or (path is not None and is_python(path))
    required: tuple[RequiredDefinition, ...] = ()
    if is_of_python:
        required = required_definitions(text, span, named=selection.function, request=comment)
    candidates = rewrite_lines(
        task.model,
        text,
        span,
        task.template(EDIT),
        comment=comment,
        keep_comment=task.body.switch("keep_comment", False),
        must_parse=parse_problem(text, path) is None,
        required=required,
        path=path,
    )
    first, last = (Lines(text).number(place) for place in (span[0], max(span[0], span[1] - 1)))
    return [Change(f"lines {first}:{last}", first, candidates)]


def _other_files(body: Fields) -> dict[str, str]:
    inner = body.nested("other_files")
    if len(inner.names) > _MAX_OTHER_FILES:
        raise body.error("other_files", f"must have at most {_MAX_OTHER_FILES} files, got {len(inner.names)}")
    return {name: inner.required_text(name) for name in inner.names}


def _runner(task: Task) -> "AbstractContextManager[CommandRunner | None]":
    """Return the runner of the body's test command; most bodies have none.

    Raises:
        RequestError: the server was not started with --allow-tests, or the file is in none of its projects.
    """
    command = task.body.text("test", None)
    if command is None:
        return nullcontext()
    if not task.settings.allows_tests:
        raise RequestError(403, "this server runs no commands; start it with --allow-tests")
    from incoder.editing.test_run.runner import CommandRunner

    for root in task.settings.projects:
        file = (root / (task.path or "")).resolve()
        if file.is_file() and file.is_relative_to(root):
            return CommandRunner(command, root, file, _TEST_SECONDS)
    raise RequestError(400, "path must name a file in a folder that the server was given with --project")
