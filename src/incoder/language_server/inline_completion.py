"""textDocument/inlineCompletion: the suggestion at the cursor.

A request is answered from what is shown already as long as the user types it, else by the model after a pause
in the typing. While a suggestion is shown, the one that will follow it is computed. A newer request for the
same document replaces an older one, which then has no suggestion; cancelling closes the request to the model.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from lsprotocol import types

from incoder.errors import IncoderError
from incoder.language_server.documents import Change, Document
from incoder.language_server.language_ids import path_of
from incoder.language_server.scope import scope_at
from incoder.language_server.secret_files import is_secret
from incoder.language_server.server import ACCEPTED, Server
from incoder.language_server.suggestion_filters import shown_suggestion
from incoder.language_server.typed_through import TypedThrough
from incoder.language_server.typing_rhythm import TypingRhythm

TIME_LIMIT = 10.0  # seconds for the model; what is written by then is the suggestion
_DRAWN = 2  # candidates for each of several suggestions, because equal and useless ones are not shown
_MAX_CANDIDATES = 16
_INVOKED = types.InlineCompletionTriggerKind.Invoked


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a suggestion is asked for. `language` is the editor's id, `path` names it for the model."""

    uri: str
    prefix: str
    suffix: str
    language: str
    path: PurePath | None
    num_items: int = 1
    line: int = 0  # of the cursor, from 0


class InlineCompletion:
    """Answers the requests of one editor."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._rhythm = TypingRhythm()
        self._shown = TypedThrough()
        self._asking: dict[str, asyncio.Task[list[str]]] = {}
        self._ahead: asyncio.Task[Any] | None = None

    def typed(self, document: Document, _: Sequence[Change]) -> None:
        """A document was changed: what is computed for it is of no use any more."""
        self._rhythm.key(time.monotonic())
        if (asking := self._asking.get(document.uri)) is not None:
            asking.cancel()

    def closed(self, document: Document) -> None:
        self._shown.drop(document.uri)

    async def answer(self, params: types.InlineCompletionParams) -> types.InlineCompletionList | None:
        """Return the suggestions at a position, or None."""
        document = self._server.documents.get(params.text_document.uri)
        if document is None:
            return None
        is_invoked = params.context.trigger_kind is _INVOKED
        query, selected = self._query(document, params), params.context.selected_completion_info
        if (reason := self._reason_against(query, is_invoked=is_invoked)) is not None:
            self._server.log.debug(f"no suggestion: {reason}")
            return None
        texts = self._stay(query)
        if len(texts) < query.num_items:
            texts = await self._newest(query, 0.0 if is_invoked else self._pause())
        if not texts:
            return None
        if self._server.settings.prefetch:
            self._look_ahead(query, texts[0])
        start = params.position if selected is None else selected.range.start
        return self._items(
            query, texts, types.Range(start, params.position), selected.text if selected else ""
        )

    def _query(self, document: Document, params: types.InlineCompletionParams) -> Query:
        documents = self._server.documents
        selected = params.context.selected_completion_info
        before, after = documents.cells_around(document)
        prefix = document.before(params.position if selected is None else selected.range.start)
        if selected is not None:  # the suggestion continues the entry that is selected in the menu
            prefix += selected.text
        is_invoked = params.context.trigger_kind is _INVOKED
        return Query(
            uri=document.uri,
            prefix=before + prefix,
            suffix=document.after(params.position) + after,
            language=document.language_id,
            path=self._named_path(document),
            num_items=self._server.settings.num_items if is_invoked else 1,
            line=document.place(params.position)[0],
        )

    def _named_path(self, document: Document) -> PurePath | None:
        """Return the path by which the model is shown the document: relative to its workspace folder."""
        path = self._server.documents.path(document)
        if path is None or path.suffix == ".ipynb":
            return path_of(document.language_id)
        folder = self._server.folder_of(path)
        return path.relative_to(folder) if folder is not None else PurePath(path.name)

    def _reason_against(self, query: Query, *, is_invoked: bool) -> str | None:
        settings = self._server.settings
        document = self._server.documents.get(query.uri)
        path = None if document is None else self._server.documents.path(document)
        if not settings.enabled:
            return "switched off"
        if is_secret(path, settings.secret_files):
            return "a file of secrets"
        if query.language in settings.disabled_languages and not is_invoked:
            return "a disabled language"
        if not (settings.in_comments and settings.in_strings):
            scope = scope_at(query.prefix, query.suffix, query.path)
            if scope == "comment" and not settings.in_comments:
                return "inside a comment"
            if scope == "string" and not settings.in_strings:
                return "inside a string"
        return None

    def _pause(self) -> float:
        debounce = self._server.settings.debounce
        return self._rhythm.wait() if debounce is None else debounce / 1000

    async def _newest(self, query: Query, pause: float) -> list[str]:
        """Ask the model after a pause, unless a newer request replaces this one; then there is nothing."""
        if (older := self._asking.get(query.uri)) is not None:
            older.cancel()
        if self._ahead is not None:
            self._ahead.cancel()
        asking = asyncio.create_task(self._ask(query, pause))
        self._asking[query.uri] = asking
        try:
            return await asking
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise  # the editor has cancelled the request
            return []
        finally:
            if self._asking.get(query.uri) is asking:
                del self._asking[query.uri]

    async def _ask(self, query: Query, pause: float = 0.0) -> list[str]:
        """Return what is to be shown of the model's suggestions, and remember it."""
        if pause > 0:
            await asyncio.sleep(pause)
        start = time.monotonic()
        try:
            answer = await self._server.model.post("/v1/infill", await self._body(query))
        except IncoderError as error:
            self._server.log.info(f"no suggestion: {error}")
            return []
        texts = list(
            dict.fromkeys(filter(None, (self._filtered(query, one) for one in answer["candidates"])))
        )
        self._shown.remember(query.uri, query.prefix, query.suffix, texts)
        took = time.monotonic() - start
        self._server.log.debug(
            f"{len(texts)} of {len(answer['candidates'])} suggestions in {1000 * took:.0f} ms"
        )
        return texts

    def _stay(self, query: Query) -> list[str]:
        """Return what is left of the suggestions that are being typed."""
        left = self._shown.remaining(query.uri, query.prefix, query.suffix)
        return [one.text for one in left]

    async def _body(self, query: Query) -> dict[str, Any]:
        settings = self._server.settings
        document = self._server.documents.get(query.uri)
        body: dict[str, Any] = {
            "parts": [query.prefix, query.suffix],
            "lines": settings.lines,
            "max_new_tokens": settings.max_new_tokens,
            "temperature": settings.temperature if query.num_items > 1 else 0.0,
            "num_candidates": 1 if query.num_items == 1 else min(_DRAWN * query.num_items, _MAX_CANDIDATES),
            "seed": 0,  # the same text has the same suggestion
            "time_limit": TIME_LIMIT,
        }
        if document is not None and (files := await self._server.other_files(document, query.line)):
            body["other_files"] = files
        if query.path is not None:
            body["path"] = str(query.path)
        if settings.model is not None:
            body["model"] = settings.model
        return body

    def _filtered(self, query: Query, candidate: Any) -> str | None:
        return shown_suggestion(
            query.prefix,
            query.suffix,
            candidate["infills"][0],
            str(query.path or query.language),
            lines=self._server.settings.lines,
            is_cut_off=candidate["finish_reasons"] == ["length"],
        )

    def _look_ahead(self, query: Query, text: str) -> None:
        """Compute the suggestion that follows this one, for the case that it is accepted."""
        following = Query(
            uri=query.uri,
            prefix=query.prefix + text,
            suffix=query.suffix,
            language=query.language,
            path=query.path,
            line=query.line,
        )
        if not self._stay(following):
            self._ahead = self._server.start(self._ask(following))

    def _items(
        self, query: Query, texts: Sequence[str], place: types.Range, selected: str
    ) -> types.InlineCompletionList:
        return types.InlineCompletionList(
            [
                types.InlineCompletionItem(
                    insert_text=(selected + text).replace("\r\n", "\n"),  # editors write their own line ends
                    range=place,
                    command=types.Command(
                        title="accepted",
                        command=ACCEPTED,
                        arguments=[self._server.acceptance.show(query.language, text)],
                    ),
                )
                for text in texts[: query.num_items]
            ]
        )


def register(server: Server) -> None:
    """Add the request, and the notifications about what the user accepts."""
    feature = InlineCompletion(server)
    server.documents.on_change.append(feature.typed)
    server.documents.on_close.append(feature.closed)

    @server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION)
    async def inline_completion(params: types.InlineCompletionParams) -> types.InlineCompletionList | None:
        return await feature.answer(params)

    @server.feature("textDocument/didPartiallyAcceptCompletion")
    def partially_accepted(params: Any) -> None:
        length = getattr(params, "acceptedLength", None)
        for shown_id in _ids_of(params):
            server.acceptance.accept(shown_id, length if isinstance(length, int) else None)


def _ids_of(params: Any) -> list[str]:
    """Return the id of the suggestion that a notification is about, if it has our command."""
    command = getattr(getattr(params, "item", None), "command", None)
    arguments = getattr(command, "arguments", None) or []
    return [str(one) for one in arguments[:1]]
