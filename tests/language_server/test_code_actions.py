"""Actions on a selection: what is offered, asked of the model server, and made of the text."""

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.language_server.client import Client, RequestError, wait_until
from tests.language_server.conftest import configure
from tests.language_server.fake_model_server import FakeModelServer

_NUMBERS = itertools.count()
TEXT = "import math\n\n\ndef area(r):\n    # double the result\n    return math.pi * r * r\n"


def opened(client: Client, text: str = TEXT, language: str = "python", name: str = "actions{}.py") -> str:
    uri = "file:///work/" + name.format(next(_NUMBERS))
    client.open(uri, text, language)
    return uri


def place(first: int, start: int, last: int, end: int) -> dict[str, Any]:
    return {"start": {"line": first, "character": start}, "end": {"line": last, "character": end}}


def actions(client: Client, uri: str, where: dict[str, Any], **context: Any) -> dict[str, Any]:
    """The commands of the actions that are offered, by title."""
    params = {"textDocument": {"uri": uri}, "range": where, "context": {"diagnostics": [], **context}}
    found = client.request("textDocument/codeAction", params) or []
    return {one["title"].removeprefix("InCoder: "): one["command"] for one in found}


def change(*edits: tuple[int, int, str], problem: str | None = None, where: str = "there") -> dict[str, Any]:
    candidate = {
        "edits": [{"start": start, "end": end, "text": text} for start, end, text in edits],
        "logprob": -0.1,
        "total_logprob": -1.0,
        "problem": problem,
    }
    return {"place": where, "line": 1, "used": None if problem else 0, "candidates": [candidate]}


def edits_in(edit: dict[str, Any]) -> Any:
    (edits,) = edit["changes"].values()
    return edits


class Applied:
    """What an editor was asked to apply; it answers that it did."""

    def __init__(self, client: Client) -> None:
        self.edits: list[Any] = []
        client.answers["workspace/applyEdit"] = self._apply
        self.is_applied = True

    def _apply(self, params: Any) -> dict[str, Any]:
        self.edits.append(params["edit"])
        return {"applied": self.is_applied}

    @property
    def changes(self) -> list[tuple[dict[str, Any], str]]:
        (edit,) = self.edits
        return [(one["range"], one["newText"]) for one in edits_in(edit)]


@pytest.fixture
def applied(client: Client) -> Iterator[Applied]:
    yield Applied(client)
    client.answers.clear()
    client.notifications.clear()


@pytest.fixture
def model(model: FakeModelServer) -> FakeModelServer:
    model.paths.clear()
    model.edited = lambda *_: (200, {"changes": []})
    return model


def test_python_is_offered_all_tools_that_fit(client: Client) -> None:
    uri = opened(client)
    assert set(actions(client, uri, place(5, 11, 5, 11))) == {
        "write the docstring",
        "annotate types",
        "rename to a proposed name",
    }
    found = actions(client, uri, place(4, 0, 6, 0))
    assert {"fix these lines", "edit as asked: double the result"} <= set(found)
    assert found["edit as asked: double the result"]["arguments"][2] == "double the result"


def test_other_languages_are_offered_what_needs_no_python(client: Client) -> None:
    uri = opened(client, "// add them\nint f(int a, int b) { return <FILL>; }\n", "c", "actions{}.c")
    assert set(actions(client, uri, place(0, 0, 1, 3))) == {
        "fix these lines",
        "edit as asked: add them",
        "fill the holes <FILL>",
    }


def test_a_line_with_a_diagnostic_may_be_fixed(client: Client) -> None:
    uri = opened(client)
    problem = {"range": place(5, 0, 5, 4), "message": "wrong"}
    assert "fix these lines" in actions(client, uri, place(5, 0, 5, 0), diagnostics=[problem])


@pytest.mark.parametrize(
    ("only", "titles"),
    [
        (["quickfix"], {"fix these lines"}),
        (["refactor"], {"write the docstring", "annotate types", "edit as asked: double the result"}),
        (["source"], set()),
    ],
)
def test_only_the_kinds_that_are_asked_for_are_offered(
    client: Client, only: list[str], titles: set[str]
) -> None:
    assert set(actions(client, opened(client), place(4, 0, 6, 0), only=only)) == titles


def test_files_of_secrets_are_offered_nothing(client: Client) -> None:
    assert actions(client, opened(client, "KEY=<FILL>\n", "sh", "actions{}.env"), place(0, 0, 1, 0)) == {}


def test_a_docstring_is_written_by_its_command(
    client: Client, model: FakeModelServer, applied: Applied
) -> None:
    start = TEXT.index("    # double")
    model.edited = lambda *_: (200, {"changes": [change((start, start, '    """The area."""\n'))]})
    uri = opened(client)
    client.execute(actions(client, uri, place(5, 0, 5, 0))["write the docstring"])
    assert applied.changes == [(place(4, 0, 4, 0), '    """The area."""\n')]
    assert model.paths == ["/v1/edit/docstring"]
    assert (model.bodies[0]["lines"], model.bodies[0]["text"]) == ("6:6", TEXT)


def test_an_editor_that_knows_versions_is_sent_the_version_that_was_read(
    start: Callable[..., Client], model: FakeModelServer
) -> None:
    editor = start("--server", model.url)
    editor.initialize(capabilities={"workspace": {"workspaceEdit": {"documentChanges": True}}})
    applied, uri = Applied(editor), opened(editor)
    editor.type(uri, 0, 0, "# ")
    model.edited = lambda *_: (200, {"changes": [change((0, 0, "x"))]})
    editor.execute(actions(editor, uri, place(3, 0, 5, 0))["fix these lines"])
    (edit,) = applied.edits
    assert edit["documentChanges"][0]["textDocument"] == {"uri": uri, "version": 2}


def test_types_are_checked_by_the_server(client: Client, model: FakeModelServer, applied: Applied) -> None:
    client.execute(actions(client, opened(client), place(3, 0, 3, 0))["annotate types"])
    assert model.bodies[0]["check"] is True
    assert applied.edits == []
    assert "nothing to change" in client.notified("window/showMessage", "types")["message"]


def test_why_nothing_was_changed_is_said(client: Client, model: FakeModelServer, applied: Applied) -> None:
    model.edited = lambda *_: (200, {"changes": [change((0, 0, "x"), problem="does not parse")]})
    client.execute(actions(client, opened(client), place(3, 0, 5, 0))["fix these lines"])
    assert "does not parse" in client.notified("window/showMessage", "fix")["message"]
    assert applied.edits == []


def test_what_the_server_refuses_is_said(client: Client, model: FakeModelServer, applied: Applied) -> None:
    model.edited = lambda *_: (400, {"error": {"message": "the text does not parse (line 2)"}})
    client.execute(actions(client, opened(client), place(3, 0, 3, 0))["annotate types"])
    assert "(line 2)" in client.notified("window/showMessage", "does not parse")["message"]
    assert applied.edits == []


@pytest.mark.usefixtures("applied")
def test_an_edit_is_made_as_the_comment_asks(client: Client, model: FakeModelServer) -> None:
    uri = opened(client)
    client.execute(actions(client, uri, place(4, 0, 6, 0))["edit as asked: double the result"])
    assert (model.bodies[0]["comment"], model.bodies[0]["lines"]) == ("double the result", "5:6")


@pytest.mark.usefixtures("applied")
def test_a_key_for_edits_asks_which_comment_is_meant(client: Client, model: FakeModelServer) -> None:
    uri = opened(client, TEXT.replace("    return", "    # or halve it\n    return"))
    asked: list[Any] = []

    def choose(params: Any) -> Any:
        asked.append(params)
        return params["actions"][1]

    client.answers["window/showMessageRequest"] = choose
    client.execute({"command": "incoder.edit", "arguments": [uri, place(4, 0, 7, 0)]})
    assert [one["title"] for one in asked[0]["actions"]] == ["double the result", "or halve it"]
    assert model.bodies[0]["comment"] == "or halve it"


@pytest.mark.usefixtures("applied")
def test_a_user_who_chooses_nothing_gets_nothing(client: Client, model: FakeModelServer) -> None:
    client.execute({"command": "incoder.edit", "arguments": [opened(client), place(4, 0, 6, 0)]})
    assert model.bodies == []


@pytest.mark.usefixtures("applied")
def test_an_edit_without_a_comment_says_where_to_write_one(client: Client) -> None:
    client.execute({"command": "incoder.edit", "arguments": [opened(client), place(0, 0, 0, 0)]})
    client.notified("window/showMessage", "say what to do in a comment")


def test_all_holes_of_a_file_are_filled_at_once(
    client: Client, model: FakeModelServer, applied: Applied
) -> None:
    text = "# 😀\nx = <FILL>\ny = [<FILL>]\n"
    model.infills = lambda _: ["1", "2"]
    uri = opened(client, text)
    client.execute(actions(client, uri, place(0, 0, 0, 0))["fill the holes <FILL>"])
    assert applied.changes == [(place(1, 4, 1, 10), "1"), (place(2, 5, 2, 11), "1")]
    assert model.bodies[0]["parts"] == ["# 😀\nx = ", "\ny = [", "]\n"]


def test_a_proposed_name_is_chosen_by_the_user(
    client: Client, model: FakeModelServer, applied: Applied
) -> None:
    uses = [TEXT.index("(r)") + 1, TEXT.index("* r *") + 2, TEXT.rindex("r")]

    def named(name: str) -> Any:
        return change(*((start, start + 1, name) for start in uses))

    both = {**named("radius"), "candidates": [*named("radius")["candidates"], *named("size")["candidates"]]}
    model.edited = lambda *_: (200, {"changes": [both]})
    client.answers["window/showMessageRequest"] = lambda params: params["actions"][1]
    uri = opened(client)
    client.execute(actions(client, uri, place(3, 9, 3, 9))["rename to a proposed name"])
    assert [text for _, text in applied.changes] == ["size"] * 3
    assert (model.bodies[0]["name"], model.bodies[0]["lines"]) == ("r", "4")


def test_nothing_is_edited_if_the_text_changes_meanwhile(
    client: Client, model: FakeModelServer, applied: Applied
) -> None:
    model.seconds = 1.0
    model.edited = lambda *_: (200, {"changes": [change((0, 0, "x"))]})
    uri = opened(client)
    command = actions(client, uri, place(3, 0, 5, 0))["fix these lines"]
    working = threading.Thread(target=client.execute, args=[command])
    working.start()
    wait_until(lambda: bool(model.bodies))
    client.type(uri, 0, 0, "# ")
    working.join()
    client.notified("window/showMessage", "the text has changed meanwhile")
    assert applied.edits == []


def test_an_editor_that_refuses_the_edits_is_reported(
    client: Client, model: FakeModelServer, applied: Applied
) -> None:
    applied.is_applied = False
    model.edited = lambda *_: (200, {"changes": [change((0, 0, "x"))]})
    client.execute(actions(client, opened(client), place(3, 0, 5, 0))["fix these lines"])
    client.notified("window/showMessage", "did not make the edits")


def test_an_action_shows_its_progress_and_can_be_cancelled(
    start: Callable[..., Client], model: FakeModelServer
) -> None:
    editor = start("--server", model.url)
    editor.initialize(capabilities={"window": {"workDoneProgress": True}})
    uri, model.seconds = opened(editor), 30
    command = actions(editor, uri, place(3, 0, 5, 0))["fix these lines"]
    number = editor.send("workspace/executeCommand", command)
    begun = editor.notified("$/progress", "working on fix")
    assert begun["value"]["cancellable"] is True
    wait_until(lambda: bool(model.bodies))
    editor.notify("window/workDoneProgress/cancel", {"token": begun["token"]})
    assert editor.wait(number) is None
    wait_until(lambda: model.num_cancelled == 1)
    editor.notified("$/progress", '"end"')


@pytest.mark.usefixtures("applied")
def test_a_test_command_comes_from_the_settings(client: Client, model: FakeModelServer) -> None:
    uri = opened(client)
    client.execute(actions(client, uri, place(3, 0, 5, 0))["fix these lines"])
    configure(client, test_command="pytest -x")
    client.execute(actions(client, uri, place(3, 0, 5, 0))["fix these lines"])
    assert "test" not in model.bodies[0]
    assert model.bodies[1]["test"] == "pytest -x"
    assert model.bodies[1]["path"].startswith("/work/actions")


@pytest.mark.usefixtures("applied")
def test_a_wrong_argument_is_explained(client: Client) -> None:
    client.execute({"command": "incoder.fix", "arguments": [opened(client), "lines 1 to 2"]})
    client.notified("window/showMessage", "must be a range")
    client.execute({"command": "incoder.fix", "arguments": ["file:///nowhere.py", place(0, 0, 0, 0)]})
    client.notified("window/showMessage", "is not open")


def rename(client: Client, uri: str, line: int, character: int, new: str, **more: Any) -> Any:
    where = {"line": line, "character": character}
    return client.request(
        "textDocument/rename", {"textDocument": {"uri": uri}, "position": where, "newName": new, **more}
    )


def test_a_name_is_renamed_everywhere_in_its_file(client: Client, model: FakeModelServer) -> None:
    start_of = TEXT.index("(r)") + 1
    model.edited = lambda *_: (200, {"changes": [change((start_of, start_of + 1, "radius"))]})
    uri = opened(client)
    edit = rename(client, uri, 3, 10, "radius")
    assert edits_in(edit) == [{"range": place(3, 9, 3, 10), "newText": "radius"}]
    assert {name: model.bodies[0][name] for name in ("name", "to", "lines")} == {
        "name": "r",
        "to": "radius",
        "lines": "4",
    }


def test_a_renaming_shows_its_progress_where_the_editor_asks_for_it(
    client: Client, model: FakeModelServer
) -> None:
    model.edited = lambda *_: (200, {"changes": [change((0, 0, "x"))]})
    rename(client, opened(client), 3, 9, "radius", workDoneToken="renaming-1")
    client.notified("$/progress", "renaming-1")


def test_a_renaming_that_is_refused_says_why(client: Client, model: FakeModelServer) -> None:
    model.edited = lambda *_: (400, {"error": {"message": "r cannot be called 1: it is no name"}})
    with pytest.raises(RequestError, match="it is no name"):
        rename(client, opened(client), 3, 9, "1")


def test_the_editor_shows_the_name_before_it_asks_for_another(client: Client) -> None:
    uri = opened(client)
    params = {"textDocument": {"uri": uri}, "position": {"line": 5, "character": 13}}
    found = client.request("textDocument/prepareRename", params)
    assert found == {"range": place(5, 11, 5, 15), "placeholder": "math"}
    params["position"] = {"line": 5, "character": 4}
    assert client.request("textDocument/prepareRename", params) is None  # `return` is a keyword


def test_other_files_that_may_use_a_name_are_shown_to_the_tool(
    start: Callable[..., Client], model: FakeModelServer, tmp_path: Path
) -> None:
    (tmp_path / "shapes.py").write_text(TEXT)
    (tmp_path / "main.py").write_text("from shapes import area\n\nprint(area(1))\n")
    (tmp_path / "other.py").write_text("area = 51\n")
    (tmp_path / "none.py").write_text("print(1)\n")
    editor = start("--server", model.url)
    editor.initialize(folders=[tmp_path])
    uri = (tmp_path / "shapes.py").as_uri()
    editor.open(uri, TEXT)
    unsaved = (tmp_path / "none.py").as_uri()
    editor.open(unsaved, "import shapes\n\nshapes.area(1)\n")
    rename(editor, uri, 3, 4, "size")
    assert set(model.bodies[0]["other_files"]) == {"main.py", "other.py", "none.py"}
    (tmp_path / "secrets.py").write_text("from shapes import area\n")
    with pytest.raises(RequestError, match=r"secrets\.py may use area"):
        rename(editor, uri, 3, 4, "size")


BAD = "def half(x):\n    return len(x) / 2\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder whose mypy settings name a plugin, which leaves the file `run` when it runs."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "mypy.ini").write_text("[mypy]\nplugins = plugin.py\n")
    (folder / "plugin.py").write_text(
        "from mypy.plugin import Plugin\nfrom pathlib import Path\n"
        f"Path({str(tmp_path / 'run')!r}).touch()\ndef plugin(version):\n    return Plugin\n"
    )
    (folder / "a.py").write_text(BAD)
    return folder


@pytest.fixture
def annotate(
    start: Callable[..., Client], model: FakeModelServer, project: Path
) -> Callable[..., tuple[Client, Applied]]:
    """Annotate the project's file, with these settings; the model server's annotation is wrong."""
    at = BAD.index("):") + 1
    model.edited = lambda *_: (200, {"changes": [change((at, at, " -> str"))]})

    def run(**settings: Any) -> tuple[Client, Applied]:
        editor = start("--server", model.url)
        editor.initialize(folders=[project], settings=settings)
        applied, uri = Applied(editor), (project / "a.py").as_uri()
        editor.open(uri, BAD)
        editor.execute(actions(editor, uri, place(0, 0, 0, 0))["annotate types"])
        return editor, applied

    return run


def test_a_folder_that_is_not_trusted_runs_no_plugin(
    annotate: Callable[..., tuple[Client, Applied]], tmp_path: Path
) -> None:
    _, applied = annotate(trusted_folders=[str(tmp_path / "other")])
    assert [text for _, text in applied.changes] == [" -> str"]  # the server's answer, as it is
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_trusted_folder_has_its_own_type_checks(
    annotate: Callable[..., tuple[Client, Applied]], project: Path, tmp_path: Path
) -> None:
    editor, applied = annotate(trusted_folders=[str(project)])
    assert (tmp_path / "run").exists()
    assert applied.edits == []
    assert "rejected by mypy" in editor.notified("window/showMessage", "types")["message"]
