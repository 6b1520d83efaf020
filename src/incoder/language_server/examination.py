"""A test of the language server as an editor starts it: does it suggest anything?"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from lsprotocol import types
from pygls.lsp.client import LanguageClient

TEXT = "import os\n\n\ndef size(path):\n    return os."
_URI = "untitled:incoder-doctor.py"
_SECONDS = 180.0  # a model may have to be loaded, and its kernels compiled


@dataclass(frozen=True, slots=True)
class Finding:
    """What it suggests after `TEXT`, or what is wrong."""

    answer: str | None = None
    problem: str | None = None


def examine(command: Sequence[str], seconds: float = _SECONDS) -> Finding:
    """Start the language server with this command, ask for a suggestion, and end it."""
    return asyncio.run(_examine(command, seconds))


async def _examine(command: Sequence[str], seconds: float) -> Finding:
    client = LanguageClient("incoder-doctor", "1")
    problems: list[str] = []

    @client.feature(types.WINDOW_SHOW_MESSAGE)
    def shown(params: types.ShowMessageParams) -> None:
        problems.append(params.message)

    @client.feature(types.WINDOW_LOG_MESSAGE)
    def logged(_: types.LogMessageParams) -> None:
        """The log is for editors."""

    try:
        await client.start_io(*command)
    except OSError as error:
        return Finding(problem=f"{command[0]} cannot be started: {error.strerror}")
    try:
        items = await asyncio.wait_for(_suggested(client), seconds)
    except TimeoutError:
        return Finding(problem=f"there is no suggestion after {seconds:g} seconds")
    finally:
        await client.stop()
    if items:
        return Finding(answer=str(items[0].insert_text))
    return Finding(problem=problems[0] if problems else "there is no suggestion; see the log (--log-file)")


async def _suggested(client: LanguageClient) -> Sequence[types.InlineCompletionItem]:
    await client.initialize_async(types.InitializeParams(capabilities=types.ClientCapabilities()))
    client.initialized(types.InitializedParams())
    document = types.TextDocumentItem(_URI, "python", 1, TEXT + "\n")
    client.text_document_did_open(types.DidOpenTextDocumentParams(document))
    line = TEXT.rpartition("\n")[2]
    found = await client.text_document_inline_completion_async(
        types.InlineCompletionParams(
            context=types.InlineCompletionContext(types.InlineCompletionTriggerKind.Invoked),
            text_document=types.TextDocumentIdentifier(_URI),
            position=types.Position(TEXT.count("\n"), len(line)),
        )
    )
    await client.shutdown_async(None)
    client.exit(None)
    return found.items if isinstance(found, types.InlineCompletionList) else found or ()
