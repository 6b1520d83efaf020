"""`incoder serve`: the HTTP server."""

import os
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incoder.cli import options
from incoder.cli.console import print_note, progress
from incoder.cli.listening import Listening, listening_on
from incoder.cli.project_memory import cache_folder
from incoder.errors import IncoderError
from incoder.extras import missing_extra
from incoder.files import read_text
from incoder.server.doctor.clients import find_client, settings_text

if TYPE_CHECKING:
    from incoder.server.models.served_model import ModelSource
    from incoder.server.settings import ServerSettings

DEFAULT_PORT = 8012  # where llama.vim looks for a server
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MAX_KEY_BYTES = 100_000
_MEGABYTE = 1_000_000


def serve(
    host: Annotated[
        str, typer.Option(help="The address to listen on. One that others can reach needs --api-key-file.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 for any free one.", min=0, max=65535)] = DEFAULT_PORT,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model, as in incoder fill, but no URL. Repeatable: the first one is loaded at once and "
            "answers requests that name none; the others are loaded when a request names them.",
            metavar="NAME|FOLDER",
            show_default="mini, without --upstream",
        ),
    ] = None,
    upstream: Annotated[
        list[str] | None,
        typer.Option(
            help="The URL of a completions server, such as vLLM, whose model is the default "
            "(docs/scale-out.md). Repeatable: requests are balanced over servers of one model.",
            metavar="URL",
            show_default="none",
        ),
    ] = None,
    upstream_model: Annotated[
        str | None,
        typer.Option(help="The model on those servers.", metavar="NAME", show_default="their only one"),
    ] = None,
    upstream_api_key_file: Annotated[
        Path | None, typer.Option(help="A file with the key of those servers.", show_default="none")
    ] = None,
    upstream_tokenizer: Annotated[
        Path | None,
        typer.Option(
            help="The folder with that model's tokenizer.json, or a GGUF file.",
            metavar="DIR",
            show_default="the one in the cache",
        ),
    ] = None,
    adapter: Annotated[
        list[Path] | None,
        typer.Option(
            help="Serve the first model with this LoRA adapter, as the model NAME+ADAPTER; the first adapter "
            "answers requests that name no model. Repeatable.",
            metavar="FOLDER",
            show_default="none",
        ),
    ] = None,
    dtype: options.Dtype = None,
    device: options.Device = None,
    context: Annotated[
        int | None,
        typer.Option(help="The longest context, in tokens.", min=64, show_default="the model's"),
    ] = None,
    cache_memory: Annotated[
        int | None,
        typer.Option(
            help="Megabytes of each model for the keys and values of recent texts.",
            min=1,
            show_default="at most 1074",
        ),
    ] = None,
    model_memory: Annotated[
        int | None,
        typer.Option(
            help="Megabytes for the weights of all models together; the one that was unused for longest is "
            "unloaded for another one.",
            min=1,
            show_default="no limit",
        ),
    ] = None,
    max_concurrent: Annotated[
        int, typer.Option(help="Requests that run at once, in the same steps.", min=1)
    ] = 16,
    max_queue: Annotated[
        int, typer.Option(help="Requests that wait; others are answered with 429.", min=0)
    ] = 64,
    time_limit: Annotated[
        float, typer.Option(help="Seconds for a request; what is written by then is its answer.", min=0.1)
    ] = 60.0,
    idle_unload: Annotated[
        float | None,
        typer.Option(
            help="Free a model's memory after this many seconds without a request; the next request loads it "
            "again.",
            min=1,
            show_default="never",
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with an API key in each line. Then every route but /health and the playground's "
            "files needs one of them, and requests with different keys share no cache.",
            show_default=False,
        ),
    ] = None,
    project: Annotated[
        list[Path] | None,
        typer.Option(
            help="A folder whose files the server may read for project memory. Repeatable; a single one is "
            "used for all requests with holes.",
            metavar="DIR",
            show_default="none",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="A host name by which clients reach this server. Repeatable.",
            metavar="NAME",
            show_default="localhost",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="A web page's origin, such as https://example.org, that may call this server. Repeatable.",
            metavar="URL",
            show_default="none",
        ),
    ] = None,
    socket_path: Annotated[
        Path | None,
        typer.Option(
            "--socket",
            help="Listen on this Unix socket instead of an address. Its folder must be yours alone.",
            metavar="PATH",
            show_default="none",
        ),
    ] = None,
    any_project: Annotated[
        bool,
        typer.Option(
            "--any-project",
            help="With --socket, let requests name any folder of yours for project memory.",
        ),
    ] = False,
    end_with_clients: Annotated[
        bool,
        typer.Option(
            "--end-with-clients",
            help="End when the last language server (incoder lsp) has disconnected, or none connects.",
        ),
    ] = False,
    allow_tests: Annotated[
        bool,
        typer.Option(
            "--allow-tests",
            help="Let requests to /v1/edit/fix run commands on files of the projects. Every client "
            "can then run anything as you.",
        ),
    ] = False,
) -> None:
    """Answer editors and other programs over HTTP, in the dialects that they speak.

    One port serves OpenAI's completions (with suffix), llama.cpp, Ollama, Mistral, Tabby and our own
    /v1/infill; docs/clients.md lists them. In a browser, the server's URL is a playground, and /docs a page
    with all routes. By default only programs on this machine can connect. Language servers (incoder lsp) of
    yours find this server by a Unix socket.

    Example: incoder serve --model mini --project .
    """
    if any_project and socket_path is None:
        raise typer.BadParameter("--any-project needs --socket: others must not read your folders")
    settings = _settings(
        host=host,
        keys=() if api_key_file is None else read_keys(api_key_file),
        hosts=tuple(allow_host or ()),
        origins=tuple(allow_origin or ()),
        max_concurrent=max_concurrent,
        max_queue=max_queue,
        time_limit=time_limit,
        idle_unload=idle_unload,
        projects=tuple(_folder(one) for one in project or ()),
        allows_tests=allow_tests,
        allows_any_project=any_project,
    )
    with listening_on(host, port, socket_path) as listening:  # before anything takes long
        sources = _upstream_sources(
            upstream or [],
            upstream_model,
            upstream_api_key_file,
            upstream_tokenizer,
            has_project=bool(project),
        )
        names = model or ([] if sources else [options.DEFAULT_MODEL])
        if names:
            sources += _sources(
                names,
                settings,
                adapters=adapter or (),
                dtype=dtype,
                device=device,
                context=context,
                cache_bytes=None if cache_memory is None else cache_memory * _MEGABYTE,
            )
        elif adapter:
            raise typer.BadParameter("--adapter is for a model on this machine; name it with --model")
        max_model_bytes = None if model_memory is None else model_memory * _MEGABYTE
        _run(settings, sources, max_model_bytes, listening, end_with_clients=end_with_clients)


def read_keys(path: Path) -> tuple[str, ...]:
    """Read the API keys in the lines of a file; blank lines and lines with # are skipped.

    Raises:
        IncoderError: the file cannot be read, or has no key.
    """
    lines = (line.strip() for line in read_text(path, max_bytes=_MAX_KEY_BYTES).splitlines())
    keys = tuple(line for line in lines if line and not line.startswith("#"))
    if not keys:
        raise IncoderError(f"{path} has no API key; write one into a line of its own")
    return keys


def _settings(*, host: str, **values: Any) -> "ServerSettings":
    try:
        import fastapi  # noqa: F401 - before a model is fetched
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise missing_extra("the server needs FastAPI, uvicorn and prometheus-client", "server") from error
    from incoder.server.security.hosts import checked_host_name
    from incoder.server.security.origins import checked_origin
    from incoder.server.settings import ServerSettings

    is_loopback = host in _LOOPBACK or host.startswith("127.")
    if not is_loopback and not values["keys"]:
        raise IncoderError(
            f"others can reach {host}, so clients need a key: give --api-key-file FILE with one, or listen "
            "on 127.0.0.1"
        )
    own = () if is_loopback else (host.lower(),)
    values["hosts"] = (*map(checked_host_name, values["hosts"]), *own)
    values["origins"] = tuple(map(checked_origin, values["origins"]))
    return ServerSettings(is_loopback=is_loopback, salt_secret=secrets.token_bytes(32), **values)


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise typer.BadParameter(f"--project: {path} is not a folder")
    return path.resolve()


def _sources(
    names: Sequence[str],
    settings: "ServerSettings",
    *,
    adapters: Sequence[Path],
    dtype: str | None,
    device: str | None,
    context: int | None,
    cache_bytes: int | None,
) -> "list[ModelSource]":
    """Return the models to serve; those on the hub are fetched now, so that no request waits for it.

    The first model comes once with each adapter, and then alone.

    Raises:
        IncoderError: there is no such model, or a folder is not an adapter.
    """
    from dataclasses import replace
    from functools import partial

    from incoder.inference.models.catalogue import describe_model
    from incoder.inference.models.loading import load
    from incoder.model.adapters import refuse_without_adapter
    from incoder.server.models.local_model import LocalSource, Projects, facts_from_files

    for name in names:
        options.fetch(name, None)
    for adapter in adapters:
        refuse_without_adapter(adapter)

    def source(name: str, adapter: Path | None = None) -> LocalSource:
        facts = facts_from_files(describe_model(name), context)
        if adapter is not None:
            facts = replace(facts, name=f"{facts.name}+{_name_of(adapter)}")
        return LocalSource(
            facts=facts,
            load_model=partial(
                load,
                name,
                adapter=adapter,
                dtype=dtype,
                device=device,
                cache_bytes=cache_bytes,
                max_context=context,
            ),
            projects=Projects(list(settings.projects), cache_folder(os.environ)),
        )

    with_adapters = [source(names[0], adapter) for adapter in dict.fromkeys(adapters)]
    return [*with_adapters, *(source(name) for name in dict.fromkeys(names))]


def _name_of(adapter: Path) -> str:
    """Return the name of an adapter: its folder's, or its run's if a fine-tuning run wrote it.

    >>> _name_of(Path("runs/ours/adapter")), _name_of(Path("adapters/mine"))
    ('ours', 'mine')
    """
    folder = adapter.resolve()
    return folder.parent.name if folder.name == "adapter" else folder.name


def _upstream_sources(
    urls: Sequence[str],
    model: str | None,
    api_key_file: Path | None,
    tokenizer: Path | None,
    *,
    has_project: bool,
) -> "list[ModelSource]":
    """Return the model of the upstream servers, which are asked now what they can do."""
    if not urls:
        if model is not None or api_key_file is not None or tokenizer is not None:
            raise typer.BadParameter("--upstream-… options need the --upstream that they are for")
        return []
    from incoder.server.models.upstream_model import UpstreamSettings, UpstreamSource

    if has_project:
        print_note("--project does not change what the model of --upstream writes")
    settings = UpstreamSettings(urls=urls, model=model, api_key_file=api_key_file, tokenizer=tokenizer)
    with progress(f"asking {', '.join(urls)} …"):
        return [UpstreamSource(settings)]


def _run(
    settings: "ServerSettings",
    sources: "Sequence[ModelSource]",
    max_model_bytes: int | None,
    listening: Listening,
    *,
    end_with_clients: bool,
) -> None:
    """Serve until a signal ends the process, or the last client leaves it.

    Raises:
        IncoderError: the first model cannot be loaded.
    """
    import uvicorn

    from incoder.server.app import create_app
    from incoder.server.leases import Leases
    from incoder.server.protocol import PatientProtocol

    failures: list[Exception] = []

    class UvicornServer(uvicorn.Server):
        def end(self) -> None:
            self.should_exit = True

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Not after `run`: then uvicorn raises the signal again that has ended it.
            listening.hide()
            leases.close()  # else their connections stay open for as long as uvicorn waits
            await super().shutdown(sockets)

    def on_ready() -> None:
        playground = " (in a browser, the playground)" if listening.has_url else ""
        print_note(f"ready: {listening.name}{playground}")
        for line in client_settings(listening.name) if listening.has_url else ():
            print_note(f"  {line}")

    def on_failure(error: Exception) -> None:
        failures.append(error)
        server.end()

    leases = Leases((lambda: server.end()) if end_with_clients else None)
    app = create_app(
        settings,
        sources,
        max_model_bytes=max_model_bytes,
        note=print_note,
        on_ready=on_ready,
        on_failure=on_failure,
        leases=leases,
    )
    server = UvicornServer(
        uvicorn.Config(
            app,
            http=PatientProtocol,
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            proxy_headers=False,  # the peer's address separates users, so no client may choose its own
            server_header=False,
            timeout_graceful_shutdown=3,
        )
    )
    print_note(f"listening on {listening.name}; it answers when its model is loaded")
    if listening.has_url and settings.is_loopback and not settings.keys:  # language servers have no key
        try:
            listening.let_language_servers_find_it()
        except IncoderError as error:
            print_note(f"language servers will not find this server: {error}")
    server.run(sockets=listening.sockets)
    if failures:
        raise failures[0]


def client_settings(url: str) -> list[str]:
    """Return settings of three clients, ready to paste; `incoder doctor` shows all clients'.

    >>> client_settings("http://127.0.0.1:8012")[0]
    "llama.vim: let g:llama_config = {'endpoint_fim': 'http://127.0.0.1:8012/infill'}"
    """
    shown = [
        f"{name}: {settings_text(find_client(name), url)}" for name in ("llama.vim", "llama.vscode", "zed")
    ]
    return [" ".join(one.split()) for one in shown] + ["more: incoder doctor"]
