"""The language server: what all features share, and the requests that belong to none of them.

A feature is a module with `register(server)`, which adds its requests, its commands and its listeners.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

from incoder.errors import IncoderError
from incoder.language_server.acceptance import Acceptance
from incoder.language_server.documents import Document, Documents
from incoder.language_server.local_server import Launch, LocalServer
from incoder.language_server.log import LibraryHandler, Log
from incoder.language_server.model_client import ModelClient, RemoteServer
from incoder.language_server.protocol import Protocol
from incoder.language_server.settings import SECTION, Settings, read_settings
from incoder.language_server.workspace import Workspace

ACCEPTED = "incoder.accepted"  # the command of a suggestion, with its id as the argument
STATISTICS = "incoder.statistics"  # returns the counts of this session, by language

_NOTEBOOKS = types.NotebookDocumentSyncOptions(
    notebook_selector=[
        types.NotebookDocumentFilterWithNotebook(
            notebook="*", cells=[types.NotebookCellLanguage(language="python")]
        ),
        types.NotebookDocumentFilterWithNotebook(notebook="*"),
    ],
    save=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says: a server's URL, or how a local one is started."""

    version: str
    launch: Launch
    url: str | None = None
    acceptance_file: Path | None = None


class Server(LanguageServer):
    """The language server of one editor. `id` is unique among all that use one model server."""

    protocol: Protocol

    def __init__(self, options: Options, log: Log) -> None:
        self.documents = Documents()
        self.settings = Settings()
        self.options = options
        self.log = log
        self.acceptance = Acceptance(options.acceptance_file)
        self.id = secrets.token_hex(8)
        self.on_settings: list[Callable[[Settings], None]] = []
        self._model: ModelClient | None = None
        self._shown_workspace: Workspace | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        super().__init__(
            "incoder",
            options.version,
            notebook_document_sync=_NOTEBOOKS,
            protocol_cls=Protocol,
            max_workers=4,
        )
        self.documents.on_save.append(self._saved)
        self.documents.on_close.append(self._closed)
        log.attach(self)

    @property
    def model(self) -> ModelClient:
        """The client of the model server that the settings name."""
        if self._model is None:
            self._model = self._new_client()
        return self._model

    @property
    def folders(self) -> list[Path]:
        """The folders of the workspace; none if only a file is open."""
        workspace = self.workspace
        uris = [folder.uri for folder in workspace.folders.values()] or [workspace.root_uri or ""]
        paths = [to_fs_path(uri) for uri in uris if uri.lower().startswith("file:")]
        return [Path(path) for path in paths if path]

    async def other_files(self, document: Document, line: int) -> dict[str, str]:
        """Return what the model is shown of other files, for a cursor on a line of a document."""
        if self._shown_workspace is None:
            return {}
        return await self._shown_workspace.other_files(document, line)

    def show_workspace(self) -> None:
        """List the files of the workspace's folders, which are those that the editor has open now."""
        if self._shown_workspace is not None:
            self._shown_workspace.close()
        self._shown_workspace = Workspace(
            self.folders, self.documents, self.settings.context_bytes, self.log.info
        )
        self._shown_workspace.refresh()

    def folder_of(self, path: Path | None) -> Path | None:
        """Return the innermost folder of the workspace that contains a path; None if none does."""
        inside = [one for one in self.folders if path is not None and path.is_relative_to(one)]
        return max(inside, key=lambda one: len(one.parts), default=None)

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run a coroutine beside the requests; an unexpected exception is logged."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def apply_settings(self, given: object) -> None:
        """Use the settings that the editor has sent, and say what is wrong with them."""
        before = self.settings
        self.settings, problems = read_settings(given, before)
        self.log.level = self.settings.log_level
        for problem in problems:
            self.log.warning(problem)
            self.window_show_message(
                types.ShowMessageParams(types.MessageType.Warning, f"InCoder: {problem}")
            )
        if self._model is not None and self.settings.model != before.model:
            self.start(self._model.close())
            self._model = None
        if self._shown_workspace is not None:
            self._shown_workspace.set_max_bytes(self.settings.context_bytes)
        for function in self.on_settings:
            function(self.settings)

    def report_server_error(self, error: Exception, source: object) -> None:  # noqa: ARG002 - pygls calls it
        """Log an exception that no feature expected, without its message."""
        self.log.failure("a message of the editor", error.__cause__ or error)

    def _saved(self, document: Document) -> None:
        if self._shown_workspace is not None:
            self._shown_workspace.saved(document)

    def _closed(self, document: Document) -> None:
        if self._shown_workspace is not None:
            self._shown_workspace.closed(document)

    def _new_client(self) -> ModelClient:
        def failed(problem: str) -> None:
            self.log.error(problem)
            self.window_show_message(types.ShowMessageParams(types.MessageType.Error, f"InCoder: {problem}"))

        connector = (
            LocalServer(self.options.launch, self.settings.model, self.log.info)
            if self.options.url is None
            else RemoteServer(self.options.url)
        )
        return ModelClient(connector, self.log.info, failed)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, IncoderError):
                self.log.info(str(error))
            else:
                self.log.failure("work in the background", error)


def create_server(options: Options, log: Log) -> Server:
    """Return a server with all features."""
    from incoder.language_server import inline_completion, next_edits

    server = Server(options, log)
    _register_life_cycle(server)
    inline_completion.register(server)
    next_edits.register(server)
    return server


def run(options: Options, log: Log, port: int | None = None, host: str = "127.0.0.1") -> bool:
    """Serve one editor on stdin and stdout, or on a port; return whether it ended the server as it should."""
    root = logging.getLogger()
    root.addHandler(LibraryHandler(log))
    server = create_server(options, log)
    if port is None:
        server.start_io()
    else:
        server.start_tcp(host, port)
    return server.protocol.is_shut_down


def _register_life_cycle(server: Server) -> None:
    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        server.apply_settings(params.initialization_options)

    @server.feature(types.INITIALIZED)
    async def initialized(_: types.InitializedParams) -> None:
        server.show_workspace()
        if server.settings.enabled:
            server.start(server.model.connection())

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def did_change_configuration(params: types.DidChangeConfigurationParams) -> None:
        given = params.settings
        workspace = server.client_capabilities.workspace
        if not given and workspace is not None and workspace.configuration:
            item = types.ConfigurationItem(section=SECTION)
            asked = types.ConfigurationParams(items=[item])
            (given,) = await server.workspace_configuration_async(asked)
        server.apply_settings(given)

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    async def did_change_folders(_: types.DidChangeWorkspaceFoldersParams) -> None:
        server.show_workspace()

    @server.feature(types.SHUTDOWN)
    def shutdown(_: None) -> None:
        try:
            server.acceptance.save()
        except IncoderError as error:
            server.log.warning(str(error))

    @server.command(ACCEPTED)
    def accepted(shown_id: str) -> None:
        server.acceptance.accept(shown_id)

    @server.command(STATISTICS)
    def statistics() -> dict[str, Any]:
        from dataclasses import asdict

        return {language: asdict(counts) for language, counts in server.acceptance.counts.items()}
