"""The editing tools as commands: docstring, types, fix, edit by comment, fill holes, propose a name.

A command has a URI and a range as its arguments, so an editor may bind a key to it. It shows its progress,
can be cancelled, and sends its edits for the version of the text that it has read: an editor refuses them if
the text has changed. If a tool refuses, the user sees the reason.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lsprotocol import types

from incoder.document import DEFAULT_HOLE, Parts
from incoder.editing.lines import Lines
from incoder.errors import IncoderError
from incoder.language_server.documents import Document
from incoder.language_server.progress import with_progress
from incoder.language_server.project_types import checked_in_project
from incoder.language_server.renaming import Renamer, name_at, workspace_edit
from incoder.language_server.secret_files import is_secret
from incoder.language_server.server import Server

_COMMENT = re.compile(r"^\s*(?:#+|//+|--+|;+|%+|/\*+|<!--)\s*(?P<text>\S.*?)\s*(?:\*+/|-->)?\s*$")


@dataclass(frozen=True, slots=True)
class Target:
    """What a command is about: a document as it was, with its `text`, and lines of it (`"3:7"`, from 1)."""

    document: Document
    version: int | None
    text: str
    lines: str
    range: types.Range

    @property
    def selected(self) -> str:
        """The text of the selected lines."""
        first, last = map(int, self.lines.split(":"))
        return "".join(Lines(self.text)[number] for number in range(first, last + 1))


class EditingCommands:
    """The commands of one editor; `by_name` has the function of each."""

    def __init__(self, server: Server, renamer: Renamer) -> None:
        self._server = server
        self._renamer = renamer
        self.by_name: Mapping[str, Callable[..., Awaitable[None]]] = {
            "incoder.docstring": self._docstring,
            "incoder.types": self._types,
            "incoder.fix": self._fix,
            "incoder.edit": self._edit,
            "incoder.fillHoles": self._fill_holes,
            "incoder.proposeName": self._propose_name,
        }

    async def run(self, name: str, *arguments: Any) -> None:
        """Run a command with a URI, a range and, for edits, what to do; an error is shown to the user."""
        try:
            uri, place, *more = [*arguments, None, None][: max(2, len(arguments))]
            await self.by_name[name](self._required_target(uri, range_of(place)), *more[:1])
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is None or current.cancelling():
                raise  # the editor has cancelled the request
            self._server.log.info(f"{name}: the user has cancelled it")
        except IncoderError as error:  # it may name variables, so it is not logged
            self._server.log.info(f"{name}: refused, as the user has been shown")
            self._say(str(error), types.MessageType.Warning)

    def target(self, uri: str, place: types.Range) -> Target | None:
        """Return what a command would be about; None if the document is not open, or may hold secrets."""
        server = self._server
        document = server.documents.get(uri)
        if document is None or is_secret(server.documents.path(document), server.settings.secret_files):
            return None
        first, last = document.place(place.start)[0] + 1, document.place(place.end)[0] + 1
        if last > first and document.place(place.end)[1] == 0:
            last -= 1  # the selection ends where the next line begins
        return Target(document, document.version, document.text, f"{first}:{last}", place)

    def _required_target(self, uri: str, place: types.Range) -> Target:
        target = self.target(uri, place)
        if target is None:
            raise IncoderError("the file is not open in the editor, or may hold secrets")
        return target

    async def _docstring(self, target: Target, *_: Any) -> None:
        await self._use("docstring", target, {"lines": target.lines})

    async def _types(self, target: Target, *_: Any) -> None:
        await self._use("types", target, {"lines": target.lines, "check": True})

    async def _fix(self, target: Target, *_: Any) -> None:
        more: dict[str, Any] = {"lines": target.lines}
        if (test := self._server.settings.test_command) is not None and target.document.path is not None:
            more |= {"test": test, "path": str(target.document.path)}
        await self._use("fix", target, more)

    async def _edit(self, target: Target, comment: Any = None) -> None:
        if comment is not None and not isinstance(comment, str):
            raise IncoderError("the command's third argument must be a text that says what to do")
        comment = comment or await self._chosen_comment(target)
        if comment is not None:
            await self._use("edit", target, {"lines": target.lines, "comment": comment})

    async def _fill_holes(self, target: Target, *_: Any) -> None:
        parts = Parts.split(target.text)
        if not parts.num_holes:
            raise IncoderError(f"the file has no hole; write {DEFAULT_HOLE} where code is missing")
        settings = self._server.settings
        body = {"parts": list(parts.texts), "max_new_tokens": settings.max_new_tokens, "num_candidates": 3}
        answer = await self._ask("filling holes", "/v1/infill", target, body)
        start, edits = 0, []
        for part, infill in zip(parts.texts, answer["candidates"][0]["infills"], strict=False):
            start += len(part)
            edits.append({"start": start, "end": start + len(DEFAULT_HOLE), "text": infill})
            start += len(DEFAULT_HOLE)
        await self._apply("fill holes", target, edits)

    async def _propose_name(self, target: Target, *_: Any) -> None:
        found = name_at(target.document, target.range.start)
        if found is None:
            raise IncoderError("there is no name at the cursor")
        body = await self._renamer.body(target.document, target.range.start, found.name)
        answer = await self._ask("asking for names", "/v1/edit/rename", target, body)
        proposed = [
            (one["edits"][0]["text"], one["edits"])
            for change in answer["changes"]
            for one in change["candidates"]
            if one["problem"] is None and one["edits"]
        ]
        if not proposed:
            self._say(f"no name is more probable than {found.name}")
            return
        chosen = await self._choose(f"A name for {found.name}:", [name for name, _ in proposed])
        if chosen is not None:
            await self._apply(f"rename to {chosen}", target, dict(proposed)[chosen])

    async def _use(self, tool: str, target: Target, more: Mapping[str, Any]) -> None:
        """Ask a tool of the model server for changes, and make them."""
        answer = await self._ask(f"working on {tool}", f"/v1/edit/{tool}", target, more)
        changes = answer["changes"]
        if tool == "types":
            changes = await self._checked(target, changes)
        edits = [edit for change in changes if change["used"] is not None for edit in _edits_of(change)]
        if edits:
            await self._apply(tool, target, edits)
            return
        problems = [one["problem"] for change in changes for one in change["candidates"] if one["problem"]]
        self._say(f"{tool}: nothing to change" + (f"; {problems[0]}" if problems else ""))

    async def _checked(self, target: Target, changes: Sequence[Any]) -> Sequence[Any]:
        """Leave out what the project's own mypy rejects, if the user trusts the folder."""
        path = target.document.path
        if path is None or not self._server.settings.trusts(path) or not path.is_file():
            return changes
        folder = self._server.folder_of(path) or path.parent
        work = checked_in_project(path, folder, target.text, changes)
        return await with_progress(self._server, "InCoder: checking types", work)

    async def _ask(
        self, title: str, route: str, target: Target, more: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        body = dict(more)
        if route.startswith("/v1/edit/"):
            body["text"] = target.text
        if "path" not in body and (path := self._server.documents.path(target.document)) is not None:
            body["path"] = path.name
        body |= self._server.model_field
        return await with_progress(self._server, f"InCoder: {title}", self._server.model.post(route, body))

    async def _apply(self, label: str, target: Target, edits: Iterable[Mapping[str, Any]]) -> None:
        """Make edits of the target's text, unless the document has changed since."""
        if target.document.version != target.version:
            raise IncoderError("the text has changed meanwhile, so nothing was edited; try again")
        edit = workspace_edit(self._server, target.document, edits)
        answer = await self._server.workspace_apply_edit_async(
            types.ApplyWorkspaceEditParams(edit, f"InCoder: {label}")
        )
        if not answer.applied:
            raise IncoderError(f"the editor did not make the edits: {answer.failure_reason or 'no reason'}")

    async def _chosen_comment(self, target: Target) -> str | None:
        """Return the comment of the selected lines that the user chooses; None if they choose none.

        Raises:
            IncoderError: there is no comment.
        """
        comments = comments_in(target.selected)
        if not comments:
            raise IncoderError(
                "say what to do in a comment among the selected lines, or as the command's third argument"
            )
        return await self._choose("Edit the selected lines as which comment asks?", comments)

    async def _choose(self, question: str, answers: Sequence[str]) -> str | None:
        actions = [types.MessageActionItem(one) for one in answers]
        params = types.ShowMessageRequestParams(types.MessageType.Info, question, actions)
        chosen = await self._server.window_show_message_request_async(params)
        return chosen.title if chosen is not None and chosen.title in answers else None

    def _say(self, text: str, kind: types.MessageType = types.MessageType.Info) -> None:
        self._server.window_show_message(types.ShowMessageParams(kind, f"InCoder: {text}"))


def comments_in(text: str) -> list[str]:
    """Return the texts of the lines that are comments, each once.

    >>> comments_in("# sort the names\\nnames = []\\n// and more //\\n")
    ['sort the names', 'and more //']
    """
    found = (_COMMENT.match(line) for line in text.splitlines())
    return list(dict.fromkeys(match["text"] for match in found if match is not None))


def range_of(place: Any) -> types.Range:
    """Return the range in a command's argument.

    Raises:
        IncoderError: it is none.
    """
    try:
        values = [place[end][name] for end in ("start", "end") for name in ("line", "character")]
    except (TypeError, KeyError):
        try:
            values = [
                getattr(getattr(place, end), name)
                for end in ("start", "end")
                for name in ("line", "character")
            ]
        except AttributeError as error:
            raise IncoderError("a command's second argument must be a range with start and end") from error
    if not all(isinstance(one, int) and one >= 0 for one in values):
        raise IncoderError("a range has lines and characters, whole numbers from 0 on")
    return types.Range(types.Position(*values[:2]), types.Position(*values[2:]))


def _edits_of(change: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    edits: Iterable[Mapping[str, Any]] = change["candidates"][change["used"]]["edits"]
    return edits
