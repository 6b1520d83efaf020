"""Next edits as an editor gets them: one at a time, in silence, and never twice after a rejection."""

import itertools
import time
from typing import Any

import pytest
from tests.language_server.client import Client, wait_until
from tests.language_server.conftest import configure
from tests.language_server.fake_model_server import FakeModelServer

_NUMBERS = itertools.count()
TEXT = "# 😀\na = 1\nb = a\nc = a\nd = a\n"


def opened(client: Client, text: str = TEXT, name: str = "edits{}.py") -> str:
    uri = "file:///work/" + name.format(next(_NUMBERS))
    client.open(uri, text)
    return uri


def edit_at(body: dict[str, Any], line: int, old: str, new: str) -> dict[str, Any]:
    """An answer of the model server: the last occurrence of `old` on a line becomes `new`."""
    lines = body["text"].splitlines(keepends=True)
    start = sum(map(len, lines[: line - 1])) + lines[line - 1].rindex(old)
    found = {"line": line, "start": start, "end": start + len(old), "old": old, "text": new}
    return {**found, "reason": "name", "drop": 1.0, "gain": 1.0, "shift": 1.0}


def a_becomes_total(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Propose the new name on all lines that still have the old one and are not quiet, as the server does."""
    lines = body["text"].splitlines()
    numbers = [number for number, line in enumerate(lines, 1) if line.endswith("= a")]
    allowed = [number for number in numbers if lines[number - 1] not in body["quiet_lines"]]
    return [edit_at(body, number, "a", "total") for number in allowed]


def ask(client: Client, uri: str, line: int = 1, character: int = 0, version: int | None = None) -> Any:
    params = {
        "textDocument": {"uri": uri, "version": version or client.version(uri)},
        "position": {"line": line, "character": character},
        "context": {"triggerKind": 2},
    }
    return client.request("textDocument/copilotInlineEdit", params)["edits"]


def apply(client: Client, uri: str, edit: dict[str, Any]) -> None:
    start, end = edit["range"]["start"], edit["range"]["end"]
    client.change(uri, (start["line"], start["character"], end["line"], end["character"], edit["text"]))


def rename(client: Client, uri: str) -> None:
    client.change(uri, (1, 0, 1, 1, "total"))


@pytest.fixture
def editor(client: Client, model: FakeModelServer) -> Client:
    model.next_edits = a_becomes_total
    return client


def test_the_nearest_edit_is_proposed_with_its_range_version_and_command(
    editor: Client, model: FakeModelServer
) -> None:
    uri = opened(editor)
    rename(editor, uri)
    (edit,) = ask(editor, uri)
    assert edit["text"] == "total"
    assert edit["range"] == {"start": {"line": 2, "character": 4}, "end": {"line": 2, "character": 5}}
    assert edit["textDocument"] == {"uri": uri, "version": 2}
    assert edit["command"]["command"] == "incoder.accepted"
    (edit,) = ask(editor, uri, line=4)
    assert edit["range"]["start"]["line"] == 4
    (body,) = model.bodies
    assert body["events"] == [{"line": 2, "old": "a = 1\n", "new": "total = 1\n"}]


def test_after_one_was_accepted_the_next_follows(editor: Client) -> None:
    uri = opened(editor)
    rename(editor, uri)
    lines = []
    while edits := ask(editor, uri):
        lines.append(edits[0]["range"]["start"]["line"])
        apply(editor, uri, edits[0])
        editor.execute(edits[0]["command"])
    assert lines == [2, 3, 4]
    counted = editor.execute({"command": "incoder.statistics"})["python (next edits)"]
    assert counted["accepted"] >= 3


def test_nothing_is_proposed_without_an_edit(editor: Client, model: FakeModelServer) -> None:
    assert ask(editor, opened(editor)) == []
    assert model.bodies == []


def test_a_line_on_which_it_was_rejected_is_left_alone(editor: Client) -> None:
    uri = opened(editor)
    rename(editor, uri)
    (edit,) = ask(editor, uri)
    editor.notify("textDocument/didShowInlineEdit", {"item": edit})
    editor.type(uri, 1, 9, "0")
    (edit,) = ask(editor, uri)
    assert edit["range"]["start"]["line"] == 3


def test_a_plugin_may_have_a_key_to_reject(editor: Client) -> None:
    uri = opened(editor)
    rename(editor, uri)
    (edit,) = ask(editor, uri)
    editor.execute({"command": "incoder.rejectNextEdit", "arguments": edit["command"]["arguments"]})
    (edit,) = ask(editor, uri)
    assert edit["range"]["start"]["line"] == 3


def test_a_proposal_that_was_never_shown_is_not_rejected(editor: Client) -> None:
    uri = opened(editor)
    rename(editor, uri)
    assert ask(editor, uri)
    editor.notify("textDocument/didShowInlineEdit", {"item": {"command": {"arguments": ["of another"]}}})
    editor.type(uri, 1, 9, "0")
    assert ask(editor, uri)[0]["range"]["start"]["line"] == 2


def test_any_key_ends_the_work(editor: Client, model: FakeModelServer) -> None:
    uri, model.seconds = opened(editor), 30
    rename(editor, uri)
    number = editor.send(
        "textDocument/copilotInlineEdit",
        {"textDocument": {"uri": uri}, "position": {"line": 1, "character": 0}},
    )
    wait_until(lambda: len(model.bodies) == 1)
    editor.type(uri, 1, 9, "0")
    assert editor.wait(number) == {"edits": []}
    wait_until(lambda: model.num_cancelled == 1)


def test_it_waits_until_the_keys_are_silent(editor: Client) -> None:
    uri = opened(editor)
    start = time.monotonic()
    rename(editor, uri)
    assert ask(editor, uri)
    assert time.monotonic() - start >= 0.3


def test_a_request_about_an_older_version_gets_nothing(editor: Client, model: FakeModelServer) -> None:
    uri = opened(editor)
    rename(editor, uri)
    assert ask(editor, uri, version=1) == []
    assert model.bodies == []


def test_the_user_may_switch_them_off(editor: Client) -> None:
    uri = opened(editor)
    rename(editor, uri)
    configure(editor, next_edits=False)
    assert ask(editor, uri) == []


def test_files_of_secrets_are_not_read(editor: Client, model: FakeModelServer) -> None:
    uri = opened(editor, name="edits{}.env")
    rename(editor, uri)
    assert ask(editor, uri) == []
    assert model.bodies == []


def test_undoing_the_users_edit_is_forbidden_to_the_model(editor: Client, model: FakeModelServer) -> None:
    uri = opened(editor)
    rename(editor, uri)
    ask(editor, uri)
    assert {"old": "total", "new": "a"} in model.bodies[0]["rejected"]


def test_several_changes_at_once_are_one_history(editor: Client, model: FakeModelServer) -> None:
    uri = opened(editor)
    editor.change(uri, (4, 0, 4, 1, "e"), (1, 0, 1, 1, "total"))
    ask(editor, uri)
    assert [one["line"] for one in model.bodies[0]["events"]] == [2, 5]


def test_an_error_of_the_server_is_no_error_for_the_editor(editor: Client, model: FakeModelServer) -> None:
    model.status = 500
    uri = opened(editor)
    rename(editor, uri)
    assert ask(editor, uri) == []


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_windows_line_ends_move_nothing(editor: Client, ending: str, model: FakeModelServer) -> None:
    uri = opened(editor, TEXT.replace("\n", ending))
    rename(editor, uri)
    model.next_edits = lambda body: [edit_at(body, 3, "a", "total")]
    (edit,) = ask(editor, uri)
    assert edit["range"] == {"start": {"line": 2, "character": 4}, "end": {"line": 2, "character": 5}}
