"""textDocument/codeAction: which of the editing commands are offered for a range. Asks no model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lsprotocol import types

from incoder.document import DEFAULT_HOLE
from incoder.language_server.editing_commands import EditingCommands, Target, comments_in
from incoder.language_server.renaming import Renamer, name_at
from incoder.language_server.server import Server

_REWRITE, _FIX = types.CodeActionKind.RefactorRewrite, types.CodeActionKind.QuickFix
_MAX_COMMENT = 60  # characters of a comment in a title
_MAX_COMMENTS = 3


@dataclass(frozen=True, slots=True)
class Action:
    """A command with its title, its kind and, after URI and range, its arguments."""

    command: str
    title: str
    kind: types.CodeActionKind = _REWRITE
    arguments: Sequence[str] = ()


def offered(commands: EditingCommands, params: types.CodeActionParams) -> list[types.CodeAction]:
    """Return the actions for a range."""
    target = commands.target(params.text_document.uri, params.range)
    if target is None:
        return []
    only = params.context.only
    return [
        types.CodeAction(
            title=f"InCoder: {action.title}",
            kind=action.kind,
            command=types.Command(action.title, action.command, arguments=_arguments(target, action)),
        )
        for action in _actions(target, has_problem=bool(params.context.diagnostics))
        if only is None or any(_is_of_kind(action.kind, one) for one in only)
    ]


def _actions(target: Target, *, has_problem: bool) -> Iterator[Action]:
    document, is_selected = target.document, target.range.start != target.range.end
    if document.language_id == "python":
        yield Action("incoder.docstring", "write the docstring")
        yield Action("incoder.types", "annotate types")
        if name_at(document, target.range.start) is not None:
            yield Action("incoder.proposeName", "rename to a proposed name")
    if is_selected or has_problem:
        yield Action("incoder.fix", "fix these lines", _FIX)
    for comment in comments_in(target.selected)[:_MAX_COMMENTS]:
        shown = comment if len(comment) <= _MAX_COMMENT else f"{comment[: _MAX_COMMENT - 1]}…"
        yield Action("incoder.edit", f"edit as asked: {shown}", arguments=[comment])
    if DEFAULT_HOLE in target.text:
        yield Action("incoder.fillHoles", f"fill the holes {DEFAULT_HOLE}")


def register(server: Server, renamer: Renamer) -> None:
    """Add the request for actions, and the commands."""
    commands = EditingCommands(server, renamer)

    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(code_action_kinds=[_FIX, _REWRITE])
    )
    def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
        return offered(commands, params)

    for name in commands.by_name:
        _register_command(server, commands, name)


def _register_command(server: Server, commands: EditingCommands, name: str) -> None:
    @server.command(name)
    async def run(*arguments: Any) -> None:
        await commands.run(name, *arguments)


def _arguments(target: Target, action: Action) -> list[Any]:
    place = {
        name: {"line": one.line, "character": one.character}
        for name, one in (("start", target.range.start), ("end", target.range.end))
    }
    return [target.document.uri, place, *action.arguments]


def _is_of_kind(kind: str, asked: str) -> bool:
    return kind == asked or kind.startswith(f"{asked}.")
