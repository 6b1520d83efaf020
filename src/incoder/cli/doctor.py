"""`incoder doctor`: the settings of each client, and a test of the running server."""

import json as json_module
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incoder.cli.console import print_note, progress, write_result
from incoder.cli.serve import DEFAULT_PORT, read_keys
from incoder.extras import missing_extra
from incoder.server.doctor.clients import PREFIX

if TYPE_CHECKING:
    from incoder.language_server.editors import Editor
    from incoder.server.doctor.checks import Report


def doctor(
    client: Annotated[
        str | None,
        typer.Argument(help="The client, such as zed.", show_default="all"),
    ] = None,
    url: Annotated[
        str, typer.Option(help="The server's URL, or the one in the client's settings, to have it checked.")
    ] = f"http://127.0.0.1:{DEFAULT_PORT}",
    api_key_file: Annotated[
        Path | None,
        typer.Option(help="A file with the server's API key, if it wants one.", show_default="none"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show a client's settings, and test the running server with the request that the client sends.

    Says in plain words what is wrong: nothing listens, another program does, a key is missing, a route or a
    model is not served, or the URL in the client's settings has the wrong path. The
    exit status is 1 if something is wrong. For neovim and emacs, the test is one of incoder lsp.

    Example: incoder doctor zed --url http://127.0.0.1:8012/v1
    """
    from incoder.server.doctor.checks import Doctor, base_of, proxy_note
    from incoder.server.doctor.clients import CLIENTS, client_names, find_client

    from incoder.language_server.editors import EDITORS, find_editor

    editor = None if client is None else find_editor(client)
    if editor is not None:
        _examine_editor(editor, as_json=json)
        return
    if client is not None and client.lower() not in client_names():
        names = [*client_names(), *(one.name for one in EDITORS)]
        raise typer.BadParameter(f"there is no client {client!r}; the clients are {', '.join(names)}")
    chosen = CLIENTS if client is None else (find_client(client),)
    base = base_of(url)
    key = None if api_key_file is None else read_keys(api_key_file)[0]
    with Doctor(base, key) as asking, progress(f"asking {base} …") as tell:
        # The URL of a single client is the one in its settings; for all of them it is only the server's.
        report = asking.examine(
            chosen, None if client is None else url, lambda one: tell(f"asking as {one} …")
        )
    note = proxy_note(base, os.environ)
    if json:
        write_result(json_module.dumps(_described(report, note)) + "\n")
    else:
        write_result(_as_text(report))
        if note is not None:
            print_note(note)
    if not report.is_well:
        raise typer.Exit(1)


def _examine_editor(editor: "Editor", *, as_json: bool) -> None:
    """Show the settings of an editor for the language server, and whether that suggests anything."""
    try:
        from incoder.language_server.examination import TEXT, examine
    except ImportError as error:
        raise missing_extra("testing the language server needs pygls", "lsp") from error

    with progress("asking incoder lsp for a suggestion …"):
        found = examine([sys.executable, "-m", "incoder", "lsp"])
    if as_json:
        write_result(json_module.dumps({**asdict(editor), **asdict(found)}) + "\n")
    else:
        lines = [f"{editor.title}, in {editor.where}:"]
        lines += [f"    {line}" for line in editor.settings.splitlines()]
        lines.append(editor.note)
        if found.problem is not None:
            lines.append(f"PROBLEM: {found.problem}")
        else:
            lines.append(f"works: after {TEXT.splitlines()[-1].strip()!r} it writes {found.answer!r}")
        write_result("\n".join(lines) + "\n")
    if found.problem is not None:
        raise typer.Exit(1)


def _as_text(report: "Report") -> str:
    server = report.server
    if server.problem is None:
        lines = [f"{server.base}: serves {', '.join(server.models)}"]
    else:
        where = "" if server.base in server.problem else f"{server.base}: "
        lines = [f"PROBLEM: {where}{server.problem}"]
    for one in report.clients:
        lines += ["", f"{one.client.title}, in {one.client.where}:"]
        lines += [f"    {line}" for line in one.settings.splitlines()]
        if one.client.note:
            lines.append(one.client.note)
        if one.problem is not None:
            lines.append(f"PROBLEM: {one.problem}")
        elif one.answer is not None:
            lines.append(f"works: after {PREFIX.splitlines()[-1].strip()!r} it writes {one.answer!r}")
    return "\n".join(lines) + "\n"


def _described(report: "Report", note: str | None) -> dict[str, Any]:
    server = report.server
    return {
        "url": server.base,
        "models": list(server.models),
        "problem": server.problem,
        "note": note,
        "clients": [
            {
                "name": one.client.name,
                "title": one.client.title,
                "where": one.client.where,
                "settings": one.settings,
                "problem": one.problem,
                "answer": one.answer,
            }
            for one in report.clients
        ],
    }
