"""textDocument/copilotInlineEdit: the edit that should follow those that the user has made.

No specification has this request; Copilot's language server made it a custom, and plugins for Neovim use it.
An answer has at most one edit, the one nearest to the cursor: plugins apply all that they get. Any key ends
the work on an answer. After a proposal that was shown, a change other than the proposed one is a rejection:
nothing is proposed on that line until its text changes.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lsprotocol import types

from incoder.editing.next_edits.history import EditHistory, Rejections
from incoder.errors import IncoderError
from incoder.language_server.documents import Change, Document
from incoder.language_server.secret_files import is_secret
from incoder.language_server.server import ACCEPTED, Server

_REQUEST = "textDocument/copilotInlineEdit"
_REJECTED = "incoder.rejectNextEdit"  # for plugins that have a key for it
_SILENCE = 0.3  # seconds after the last key
_MAX_CHARACTERS = 500_000  # the server refuses a longer text
_MAX_DOCUMENTS = 50  # whose history is kept


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed edit of a document: `line` (from 0) is `old`, and the edit makes it the lines `new`."""

    id: str
    line: int
    old: str
    new: str

    def is_made_in(self, document: Document) -> bool:
        """Whether the document has the lines that the edit makes."""
        num_lines = self.new.count("\n") + (not self.new.endswith("\n"))
        return "".join(document.lines[self.line : self.line + num_lines]) == self.new


@dataclass(slots=True)
class _State:
    """What is known of one document. `found` are the server's edits for `version`."""

    history: EditHistory = field(default_factory=EditHistory)
    rejected: Rejections = field(default_factory=Rejections)
    version: int | None = None
    found: list[Mapping[str, Any]] | None = None
    proposal: Proposal | None = None
    is_shown: bool = False


class NextEdits:
    """Answers the requests of one editor. `clock` returns seconds."""

    def __init__(self, server: Server, clock: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._clock = clock
        self._states: OrderedDict[str, _State] = OrderedDict()
        self._last_key = 0.0
        self._asking: asyncio.Task[Any] | None = None
        self._says_what_is_shown = False

    def typed(self, document: Document, change: Change) -> None:
        """Note a change as part of an edit."""
        self._last_key = self._clock()
        self._state(document.uri).history.change(
            self._last_key,
            line=change.line,
            column=change.column,
            old=change.old,
            new=change.new,
            lines=document.lines,
        )

    def changed(self, document: Document, _: Sequence[Change]) -> None:
        """End the work on an answer. What was proposed is accepted, or rejected if it was shown."""
        if self._asking is not None:
            self._asking.cancel()
        state = self._state(document.uri)
        is_shown = state.is_shown or not self._says_what_is_shown
        if state.proposal is not None and is_shown and not state.proposal.is_made_in(document):
            state.rejected.add(state.proposal.old)
        state.proposal, state.found, state.is_shown = None, None, False

    def closed(self, document: Document) -> None:
        self._states.pop(document.uri, None)

    def shown(self, proposal_id: str) -> None:
        """Note that the editor shows a proposal."""
        self._says_what_is_shown = True
        for state in self._states.values():
            if state.proposal is not None and state.proposal.id == proposal_id:
                state.is_shown = True

    def reject(self, proposal_id: str) -> None:
        """Note that the user does not want a proposal."""
        for state in self._states.values():
            if state.proposal is not None and state.proposal.id == proposal_id:
                state.rejected.add(state.proposal.old)
                state.proposal, state.found = None, None

    async def answer(self, uri: str, version: int | None, position: types.Position) -> list[dict[str, Any]]:
        """Return the proposed edit at most, as the protocol has it."""
        document = self._server.documents.get(uri)
        if document is None or not self._server.settings.next_edits or not self._server.settings.enabled:
            return []
        if version is not None and document.version is not None and version != document.version:
            return []  # the editor has changed the text since
        if is_secret(self._server.documents.path(document), self._server.settings.secret_files):
            return []
        state = self._state(uri)
        if state.found is None or state.version != document.version:
            state.found = await self._newest(document, state, position)
            state.version = document.version
        if not state.found:
            return []
        line = document.place(position)[0] + 1
        nearest = min(state.found, key=lambda one: abs(one["line"] - line))
        return [self._proposed(document, state, nearest)]

    async def _newest(
        self, document: Document, state: _State, position: types.Position
    ) -> list[Mapping[str, Any]] | None:
        """Ask the model server unless a key or a newer request comes first; then nothing is known."""
        if self._asking is not None:
            self._asking.cancel()
        self._asking = asking = asyncio.create_task(self._ask(document, state, position))
        try:
            return await asking
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise  # the editor has cancelled the request
            return None
        finally:
            if self._asking is asking:
                self._asking = None

    async def _ask(
        self, document: Document, state: _State, position: types.Position
    ) -> list[Mapping[str, Any]]:
        await asyncio.sleep(max(0.0, self._last_key + _SILENCE - self._clock()))
        events = state.history.events(document.lines)
        if not events or sum(map(len, document.lines)) > _MAX_CHARACTERS:
            return []
        path = self._server.documents.path(document)
        body: dict[str, Any] = {
            "text": document.text,
            "events": [
                {"line": one.line, "old": "".join(one.old), "new": "".join(one.new)} for one in events
            ],
            "line": document.place(position)[0] + 1,
            "quiet_lines": list(state.rejected.lines),
            "rejected": [
                {"old": old, "new": new} for old, new in sorted(state.history.reversals(document.lines))
            ],
        }
        if path is not None:
            body["path"] = path.name
        body |= self._server.model_field
        start = self._clock()
        try:
            answer = await self._server.model.post("/v1/edit/next", body)
        except IncoderError as error:
            self._server.log.info(f"no next edit: {error}")
            return []
        found: list[Mapping[str, Any]] = answer["edits"]
        took = 1000 * (self._clock() - start)
        self._server.log.debug(f"{len(found)} next edits in {took:.0f} ms")
        return found

    def _proposed(self, document: Document, state: _State, found: Mapping[str, Any]) -> dict[str, Any]:
        start, end = (document.position_at(found[name]) for name in ("start", "end"))
        first, column = document.place(start)
        last, end_column = document.place(end)
        after = document.lines[last][end_column:]
        new = document.lines[first][:column] + found["text"] + after
        if state.proposal is None or (state.proposal.line, state.proposal.new) != (first, new):
            language = f"{document.language_id} (next edits)"
            shown_id = self._server.acceptance.show(language, found["text"] or found["old"])
            state.proposal, state.is_shown = Proposal(shown_id, first, document.lines[first], new), False
        return {
            "text": found["text"],
            "range": {"start": _plain(start), "end": _plain(end)},
            "textDocument": {"uri": document.uri, "version": document.version},
            "command": {"title": "accepted", "command": ACCEPTED, "arguments": [state.proposal.id]},
        }

    def _state(self, uri: str) -> _State:
        state = self._states.setdefault(uri, _State())
        self._states.move_to_end(uri)
        if len(self._states) > _MAX_DOCUMENTS:
            self._states.popitem(last=False)
        return state


def register(server: Server) -> None:
    """Add the request, and the notifications about what the editor shows."""
    feature = NextEdits(server)
    server.documents.on_each_change.append(feature.typed)
    server.documents.on_change.append(feature.changed)
    server.documents.on_close.append(feature.closed)

    @server.feature(_REQUEST)
    async def next_edit(params: Any) -> dict[str, Any]:
        document, position = params.textDocument, params.position
        place = types.Position(int(position.line), int(position.character))
        version = getattr(document, "version", None)
        return {"edits": await feature.answer(str(document.uri), version, place)}

    @server.feature("textDocument/didShowInlineEdit")
    def did_show(params: Any) -> None:
        command = getattr(getattr(params, "item", None), "command", None)
        for proposal_id in (getattr(command, "arguments", None) or [])[:1]:
            feature.shown(str(proposal_id))

    @server.feature("textDocument/didFocus")
    def did_focus(_: Any) -> None:
        """Plugins say which document is in view; the requests have all that we need."""

    @server.command(_REJECTED)
    def reject(proposal_id: str) -> None:
        feature.reject(proposal_id)


def _plain(position: types.Position) -> dict[str, int]:
    return {"line": position.line, "character": position.character}
