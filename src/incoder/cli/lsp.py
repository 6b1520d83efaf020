"""`incoder lsp`: the language server."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from incoder import __version__
from incoder.errors import IncoderError
from incoder.extras import missing_extra
from incoder.local_socket import runtime_folder

_IDLE_UNLOAD = 1800  # seconds without a suggestion until the model's memory is freed


def lsp(
    server: Annotated[
        str | None,
        typer.Option(
            help="Use the model server at this URL (incoder serve). By default it is the one that you run on "
            "this machine, else one that is started and ends with its last editor.",
            metavar="URL",
            show_default="found or started",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="Wait for the editor on this port of 127.0.0.1 instead of stdin and stdout.",
            min=1,
            max=65535,
            show_default="none",
        ),
    ] = None,
    stdio: Annotated[  # noqa: ARG001 - what happens anyway; many editors give it
        bool, typer.Option("--stdio", help="Speak on stdin and stdout, which is the default.")
    ] = False,
    log_file: Annotated[
        Path | None,
        typer.Option(help="A file to which the log is appended. It holds no code.", show_default="none"),
    ] = None,
) -> None:
    """Suggest code in editors that speak the language server protocol.

    The editor starts it; docs/language-server.md has the settings of each editor. Its process loads no model:
    a model server does, which all editors share.

    Example: incoder lsp --server http://127.0.0.1:8012
    """
    try:
        import httpx2  # noqa: F401 - for the error
        import pygls  # noqa: F401
    except ImportError as error:
        raise missing_extra("the language server needs pygls and httpx2", "lsp") from error
    from incoder.language_server.local_server import Launch
    from incoder.language_server.log import Log
    from incoder.language_server.server import Options, run

    launch = Launch(
        command=[
            *(sys.executable, "-m", "incoder", "serve"),
            *("--end-with-clients", "--idle-unload", str(_IDLE_UNLOAD)),
        ],
        folder=runtime_folder(os.environ),
        version=__version__,
    )
    options = Options(
        version=__version__,
        launch=launch,
        url=None if server is None else _checked(server),
        acceptance_file=_state_folder() / "acceptance.json",
    )
    if not run(options, Log(log_file), port):
        raise typer.Exit(1)  # as the protocol has it if the editor did not ask for the end


def _checked(url: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise IncoderError(f"--server must be a URL such as http://127.0.0.1:8012, got {url!r}")
    return url.rstrip("/").removesuffix("/v1")


def _state_folder() -> Path:
    """The folder for data about the user's actions, by the rules for state (XDG)."""
    home = Path(os.environ.get("HOME") or Path.home())
    state = Path(os.environ.get("XDG_STATE_HOME") or "")
    return (state if state.is_absolute() else home / ".local" / "state") / "incoder"
