"""Suggestions as an editor gets them: what is asked of the model, what is shown, cancelled and counted."""

import itertools
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.language_server.client import INVOKED, Client, RequestError, wait_until
from tests.language_server.conftest import configure
from tests.language_server.fake_model_server import FakeModelServer, by_last_line

_NUMBERS = itertools.count()
TEXT = "import os\n\n\ndef size(path):\n    return os.\n"


def opened(client: Client, text: str = TEXT, name: str = "{}.py", language: str = "python") -> str:
    uri = "file:///work/" + name.format(next(_NUMBERS))
    client.open(uri, text, language)
    return uri


def texts(items: list[dict[str, Any]]) -> list[str]:
    return [item["insertText"] for item in items]


def test_a_suggestion_has_a_range_on_one_line_and_a_command(client: Client, model: FakeModelServer) -> None:
    model.infills = by_last_line({"    return os.": ["path.getsize(path)"]})
    (item,) = client.suggest(opened(client), 4, 14)
    assert item["insertText"] == "path.getsize(path)"
    place = {"line": 4, "character": 14}
    assert item["range"] == {"start": place, "end": place}
    assert item["command"]["command"] == "incoder.accepted"


def test_the_model_gets_both_sides_and_the_files_language(client: Client, model: FakeModelServer) -> None:
    client.suggest(opened(client, "x = 1\ny = \nz = 3\n", "{}.rb", "ruby"), 1, 4)
    (body,) = model.bodies
    assert body["parts"] == ["x = 1\ny = ", "\nz = 3\n"]
    assert body["path"].endswith(".rb")
    assert (body["lines"], body["num_candidates"], body["temperature"]) == ("auto", 1, 0.0)


def test_an_explicit_request_has_several_suggestions(client: Client, model: FakeModelServer) -> None:
    model.infills = by_last_line({"": ["path.getsize(path)", "stat(path).st_size", "path.getsize(path)"]})
    found = client.suggest(opened(client), 4, 14, INVOKED)
    assert texts(found) == ["path.getsize(path)", "stat(path).st_size"]
    assert model.bodies[0]["num_candidates"] == 6  # of which useless and equal ones are not shown


def test_what_is_shown_stays_while_it_is_typed(client: Client, model: FakeModelServer) -> None:
    model.infills = by_last_line({"    return os.": ["path.getsize(path)"]})
    uri = opened(client)
    client.suggest(uri, 4, 14)
    for number, character in enumerate("path.g"):
        client.type(uri, 4, 14 + number, character)
        assert texts(client.suggest(uri, 4, 15 + number)) == ["path.getsize(path)"[number + 1 :]]
    assert len(model.bodies) == 1
    client.type(uri, 4, 20, "x")
    client.suggest(uri, 4, 21)
    assert len(model.bodies) == 2


def test_the_next_suggestion_is_computed_while_one_is_shown(client: Client, model: FakeModelServer) -> None:
    configure(client, prefetch=True)
    model.infills = by_last_line(
        {"    return os.": ["path.getsize(path)"], "    return os.path.getsize(path)": [" // 1024"]}
    )
    uri = opened(client)
    (item,) = client.suggest(uri, 4, 14)
    wait_until(lambda: len(model.bodies) == 2)
    client.type(uri, 4, 14, item["insertText"])
    assert texts(client.suggest(uri, 4, 32)) == [" // 1024"]
    assert [one["parts"][0][-12:] for one in model.bodies[:2]] == ["  return os.", "etsize(path)"]


def test_acceptance_is_counted_once_and_by_language(client: Client, model: FakeModelServer) -> None:
    model.infills = by_last_line({"": ["total(path)"]})
    (item,) = client.suggest(opened(client, "x = \n", "{}.go", "go"), 0, 4)
    client.execute(item["command"])
    client.execute(item["command"])
    counted = client.execute({"command": "incoder.statistics"})["go"]
    assert (counted["shown"], counted["accepted"], counted["accepted_characters"]) == (1, 1, 11)


def test_a_suggestion_that_is_being_typed_is_counted_once(client: Client, model: FakeModelServer) -> None:
    model.infills = by_last_line({"": ["total(path)"]})
    uri = opened(client, "x = \n", "{}.js", "javascript")
    client.suggest(uri, 0, 4)
    client.type(uri, 0, 4, "tot")
    (item,) = client.suggest(uri, 0, 7)
    client.execute(item["command"])
    counted = client.execute({"command": "incoder.statistics"})["javascript"]
    assert (counted["shown"], counted["accepted"], counted["accepted_characters"]) == (1, 1, 8)


def test_the_next_suggestion_is_computed_once_while_this_one_is_typed(
    client: Client, model: FakeModelServer
) -> None:
    def infills(_: object) -> list[str]:
        model.seconds = 30  # from the next request on
        return ["total(path)"]

    configure(client, prefetch=True)
    model.infills = infills
    uri = opened(client, "x = \n")
    client.suggest(uri, 0, 4)
    for number, key in enumerate("total"):
        client.type(uri, 0, 4 + number, key)
        client.suggest(uri, 0, 5 + number)
    wait_until(lambda: len(model.bodies) == 2)
    assert model.bodies[1]["parts"] == ["x = total(path)", "\n"]
    assert model.num_cancelled == 0
    client.type(uri, 0, 9, "x")
    number = client.ask_to_suggest(uri, 0, 10)
    wait_until(lambda: model.num_cancelled == 1 and len(model.bodies) == 3)
    client.cancel(number)
    wait_until(lambda: model.num_cancelled == 2)


def test_half_of_a_surrogate_pair_does_no_harm(client: Client, model: FakeModelServer) -> None:
    model.infills = by_last_line({"": ["total(path)"]})
    uri = opened(client, "# \ud83d\nx = \n")
    assert texts(client.suggest(uri, 1, 4)) == ["total(path)"]
    assert ascii(model.bodies[0]["parts"][0]) == ascii("# \ud83d\nx = ")  # reports must be UTF-8


def test_the_far_ends_of_a_huge_file_are_not_sent(client: Client, model: FakeModelServer) -> None:
    line = "value = 1\n"
    uri = opened(client, line * 60_000)
    for number in range(3):
        client.type(uri, 50_000, number, "v")
        client.suggest(uri, 50_000, number + 1)
    starts = {len(body["parts"][0]) - number for number, body in enumerate(model.bodies)}
    assert len(starts) == 1
    assert all(body["parts"][0].startswith(line) for body in model.bodies)
    assert len(model.bodies[0]["parts"][0]) <= 300_000
    assert len(model.bodies[0]["parts"][1]) <= 100_000


def test_parts_of_a_suggestion_that_are_accepted_one_by_one_are_counted(
    client: Client, model: FakeModelServer
) -> None:
    model.infills = by_last_line({"": ["total(path)"]})
    (item,) = client.suggest(opened(client, "x = \n", "{}.rs", "rust"), 0, 4)

    def accept(length: int) -> Any:
        client.notify("textDocument/didPartiallyAcceptCompletion", {"item": item, "acceptedLength": length})
        return client.execute({"command": "incoder.statistics"})["rust"]

    counted = accept(5)
    assert (counted["accepted"], counted["partly_accepted"], counted["accepted_characters"]) == (0, 1, 5)
    counted = accept(11)
    assert (counted["accepted"], counted["partly_accepted"], counted["accepted_characters"]) == (1, 0, 11)


def test_cancelling_ends_the_request_to_the_model(client: Client, model: FakeModelServer) -> None:
    model.seconds = 30
    number = client.ask_to_suggest(opened(client), 4, 14)
    wait_until(lambda: len(model.bodies) == 1)
    client.cancel(number)
    with pytest.raises(RequestError) as caught:
        client.wait(number)
    assert caught.value.code == -32800
    wait_until(lambda: model.num_cancelled == 1)


def test_the_newest_request_wins(client: Client, model: FakeModelServer) -> None:
    uri, model.seconds = opened(client), 30
    model.infills = by_last_line({"": ["path.getsize(path)"]})
    older = client.ask_to_suggest(uri, 4, 14)
    wait_until(lambda: len(model.bodies) == 1)
    model.seconds = 0
    client.type(uri, 4, 14, "p")
    assert texts(client.suggest(uri, 4, 15)) == ["path.getsize(path)"]
    assert client.wait(older) is None
    wait_until(lambda: model.num_cancelled == 1)


def test_requests_of_two_documents_do_not_replace_each_other(client: Client, model: FakeModelServer) -> None:
    model.infills, model.seconds = by_last_line({"": ["path.getsize(path)"]}), 0.2
    asked = [client.ask_to_suggest(opened(client), 4, 14) for _ in range(2)]
    assert [len(client.wait(number)["items"]) for number in asked] == [1, 1]


def test_a_request_waits_for_a_pause_in_the_typing(client: Client, model: FakeModelServer) -> None:
    configure(client, debounce=300)
    uri = opened(client)
    for number in range(5):
        client.type(uri, 4, 14 + number, "p")
        last = client.ask_to_suggest(uri, 4, 15 + number)
    start = time.monotonic()
    client.wait(last)
    assert time.monotonic() - start > 0.2
    assert len(model.bodies) == 1


def test_an_entry_that_is_selected_in_the_menu_is_continued(client: Client, model: FakeModelServer) -> None:
    model.infills = by_last_line({"    return os.path": [".getsize(path)"]})
    uri = opened(client, TEXT.replace("os.", "os.pa"))
    selected = {
        "range": {"start": {"line": 4, "character": 14}, "end": {"line": 4, "character": 16}},
        "text": "path",
    }
    (item,) = client.suggest(uri, 4, 16, selectedCompletionInfo=selected)
    assert item["insertText"] == "path.getsize(path)"
    assert item["range"] == selected["range"]


@pytest.mark.parametrize("name", [".env", ".env.local", "id_rsa", "server.pem", "prod.tfvars"])
def test_files_of_secrets_are_not_sent(client: Client, model: FakeModelServer, name: str) -> None:
    uri = f"file:///secrets/{name}"
    client.open(uri, "KEY=", "dotenv")
    assert client.suggest(uri, 0, 4, INVOKED) == []
    assert model.bodies == []


@pytest.mark.parametrize(
    ("setting", "line"), [("in_comments", "x = 1  # one plus "), ("in_strings", 'x = "one plus ')]
)
def test_comments_and_strings_are_left_alone_where_so_set(
    client: Client, model: FakeModelServer, setting: str, line: str
) -> None:
    rest = '"\n' if '"' in line else "\n"
    model.infills = by_last_line({"": ["total(x)"]})
    uri = opened(client, line + rest)
    configure(client, **{setting: False})
    assert client.suggest(uri, 0, len(line)) == []
    assert model.bodies == []
    configure(client)
    client.suggest(uri, 0, len(line))
    assert len(model.bodies) == 1


def test_disabled_languages_have_suggestions_only_on_request(client: Client, model: FakeModelServer) -> None:
    configure(client, disabled_languages=["markdown"])
    model.infills = by_last_line({"": ["language models"]})
    uri = opened(client, "About \n", "{}.md", "markdown")
    assert client.suggest(uri, 0, 6) == []
    assert texts(client.suggest(uri, 0, 6, INVOKED)) == ["language models"]


def test_line_ends_are_the_documents_for_the_model_and_newlines_for_the_editor(
    client: Client, model: FakeModelServer
) -> None:
    model.infills = by_last_line({"def f(x):": ["\r\n    y = x + 1\r\n    return y"]})
    uri = opened(client, "import os\r\n\r\ndef f(x):\r\n")
    (item,) = client.suggest(uri, 2, 9)
    assert model.bodies[0]["parts"] == ["import os\r\n\r\ndef f(x):", "\r\n"]
    assert item["insertText"] == "\n    y = x + 1\n    return y"


def test_a_cell_of_a_notebook_continues_the_cells_before_it(client: Client, model: FakeModelServer) -> None:
    cells = ["cell:1", "cell:2", "cell:3", "cell:4"]
    code = ["import os", "# Title", "size = os.", "print(size)"]
    client.notify(
        "notebookDocument/didOpen",
        {
            "notebookDocument": {
                "uri": "file:///work/a.ipynb",
                "notebookType": "jupyter-notebook",
                "version": 1,
                "cells": [
                    {"kind": 1 if text.startswith("# ") else 2, "document": uri}
                    for uri, text in zip(cells, code, strict=True)
                ],
            },
            "cellTextDocuments": [
                {"uri": uri, "languageId": "python", "version": 1, "text": text}
                for uri, text in zip(cells, code, strict=True)
            ],
        },
    )
    client.suggest("cell:3", 0, 10)
    assert model.bodies[0]["parts"] == ["import os\n\nsize = os.", "\n\nprint(size)"]
    assert model.bodies[0]["path"].endswith(".py")


def test_a_refusal_of_the_model_server_is_logged_and_shows_nothing(
    client: Client, model: FakeModelServer
) -> None:
    model.status = 500
    assert client.suggest(opened(client), 4, 14) == []
    client.notified("window/logMessage", "no suggestion: no")


def test_documents_that_are_not_open_have_no_suggestion(client: Client) -> None:
    assert client.suggest("file:///nowhere.py", 0, 0) == []


def test_other_files_of_the_workspace_are_shown_but_none_that_git_ignores(
    start: Callable[..., Client], model: FakeModelServer, tmp_path: Path
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("ignored.py\n")
    helper = "def total_of_prices(prices):\n    return sum(prices)\n"
    for name in ("shop.py", "ignored.py", "own.py"):
        (tmp_path / name).write_text(helper)
    (tmp_path.parent / "outside.py").write_text(helper)
    client = start("--server", model.url)
    client.initialize(settings={"debounce": 0, "prefetch": False}, folders=[tmp_path])
    for path in (tmp_path / "shop.py", tmp_path / "ignored.py", tmp_path.parent / "outside.py"):
        client.open(path.as_uri(), helper)
    own = (tmp_path / "own.py").as_uri()
    client.open(own, "import shop\n\nprices = [1, 2]\nprint(total_of_prices(prices))\nx = \n")

    def files_shown() -> Any:
        client.type(own, 4, 4, "")
        client.suggest(own, 4, 4)
        return model.bodies[-1].get("other_files")

    wait_until(lambda: files_shown() is not None)
    assert files_shown() == {"shop.py": helper}
    assert model.bodies[-1]["path"] == "own.py"
    client.notify("workspace/didChangeConfiguration", {"settings": {"context_bytes": 0, "debounce": 0}})
    assert files_shown() is None


def test_project_memory_of_the_workspace_is_updated_on_save_and_used(
    start: Callable[..., Client], model: FakeModelServer, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text("x = \n")
    client = start("--server", model.url)
    client.initialize(settings={"debounce": 0, "prefetch": False}, folders=[tmp_path])
    wait_until(lambda: str(tmp_path) in model.projects)
    own = (tmp_path / "own.py").as_uri()
    client.open(own, "x = \n")

    def project() -> Any:
        client.suggest(own, 0, 4)
        return model.bodies[-1].get("project")

    wait_until(lambda: project() == str(tmp_path))
    assert model.bodies[-1]["path"] == "own.py"
    model.projects.clear()
    client.notify("textDocument/didSave", {"textDocument": {"uri": own}})
    wait_until(lambda: model.projects == [str(tmp_path)])
    client.notify("workspace/didChangeConfiguration", {"settings": {"project_memory": False, "debounce": 0}})
    assert project() is None


def test_a_workspace_may_have_several_folders_and_change_them(
    start: Callable[..., Client], model: FakeModelServer, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("first", "second", "third")]
    for folder in folders:
        (folder / "src").mkdir(parents=True)
    client = start("--server", model.url)
    client.initialize(settings={"debounce": 0, "prefetch": False}, folders=folders[:2])

    def shown_path(folder: Path) -> Any:
        uri = (folder / "src" / "a.py").as_uri()
        client.open(uri, "x = \n")
        client.suggest(uri, 0, 4)
        return model.bodies[-1]["path"]

    assert [shown_path(folder) for folder in folders] == ["src/a.py", "src/a.py", "a.py"]
    added = {"uri": folders[2].as_uri(), "name": "third"}
    removed = {"uri": folders[0].as_uri(), "name": "first"}
    client.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [added], "removed": [removed]}})
    assert [shown_path(folder) for folder in folders] == ["a.py", "src/a.py", "src/a.py"]
    wait_until(lambda: str(folders[2]) in model.projects)
