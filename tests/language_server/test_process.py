"""`incoder lsp` as a process: its options, its streams, its log, large files, many keys, no keys."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.language_server.client import Client, RequestError, wait_until
from tests.language_server.conftest import configure
from tests.language_server.fake_model_server import FakeModelServer, by_last_line

SETTINGS = {"debounce": 0, "prefetch": False, "log_level": "debug"}
Start = Callable[..., Client]


def resident_bytes(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_its_process_loads_no_torch(client: Client, model: FakeModelServer) -> None:
    client.open("file:///torch.py", "x = \n")
    client.suggest("file:///torch.py", 0, 4)
    assert len(model.bodies) == 1
    program = (
        "import sys, incoder.cli.commands, incoder.cli.lsp, incoder.language_server.server\n"
        "from incoder.language_server import inline_completion, next_edits\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'fastapi')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    if sys.platform == "linux":
        assert "libtorch" not in Path(f"/proc/{client.process.pid}/maps").read_text()


def test_it_announces_suggestions_even_to_clients_that_announce_nothing(
    start: Start, model: FakeModelServer
) -> None:
    found = start("--server", model.url).initialize(encodings=())
    assert found["inlineCompletionProvider"] == {}
    assert found["positionEncoding"] == "utf-16"
    assert found["textDocumentSync"]["change"] == 2
    assert "incoder.accepted" in found["executeCommandProvider"]["commands"]


@pytest.mark.parametrize(
    ("encoding", "start_character", "end_character"), [("utf-8", 10, 12), ("utf-16", 8, 10), ("utf-32", 7, 9)]
)
def test_astral_characters_and_crlf_in_every_encoding(
    start: Start, model: FakeModelServer, encoding: str, start_character: int, end_character: int
) -> None:
    client = start("--server", model.url)
    assert client.initialize(settings=SETTINGS, encodings=[encoding])["positionEncoding"] == encoding
    model.infills = by_last_line({"": ["'é' + "]})
    client.open("file:///a.py", "# é\r\nx = '😀'ab\r\n")
    client.change("file:///a.py", (1, start_character, 1, end_character, " + "))
    (item,) = client.suggest("file:///a.py", 1, start_character + 3)
    assert model.bodies[0]["parts"] == ["# é\r\nx = '😀' + ", "\r\n"]
    assert item["range"]["end"] == {"line": 1, "character": start_character + 3}


def test_a_file_of_20_000_lines_is_followed_through_200_changes_a_second(
    client: Client, model: FakeModelServer
) -> None:
    lines = [f"value_{number} = {number}\n" for number in range(20_000)]
    uri = "file:///large.py"
    client.open(uri, "".join(lines))
    client.suggest(uri, 0, 0)
    begin = time.monotonic()
    typed = "x" * 200
    for number, character in enumerate(typed):
        client.type(uri, 10_000, number, character)
    client.suggest(uri, 10_000, 200)
    assert time.monotonic() - begin < 1.5
    prefix, suffix = model.bodies[-1]["parts"]
    assert prefix.endswith(lines[9_999] + typed)
    assert suffix.startswith(lines[10_000] + lines[10_001])


def test_the_end_is_as_the_protocol_says(start: Start, model: FakeModelServer) -> None:
    first, second, third = (start("--server", model.url) for _ in range(3))
    first.initialize()
    assert first.shut_down() == 0
    second.initialize()
    second.notify("exit", None)  # without the request to shut down
    assert second.process.wait(10) == 1
    third.initialize()
    assert third.process.stdin is not None
    third.process.stdin.close()  # as when an editor crashes
    third.process.wait(10)


def test_broken_messages_do_not_end_it(client: Client, model: FakeModelServer) -> None:
    assert client.process.stdin is not None
    for body in (b"{", b"[]", b"null", b'{"jsonrpc": "2.0"}', b"\xff\xfe", b'{"jsonrpc": "2.0", "id": 5}'):
        client.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    client.notify("textDocument/didChange", {"textDocument": 5})
    client.notify("textDocument/didOpen", {})
    client.notify("unknown/notification", {"x": 1})
    for method, params in (
        ("textDocument/inlineCompletion", {"textDocument": {"uri": 5}}),
        ("workspace/executeCommand", {"command": "incoder.accepted"}),
        ("workspace/executeCommand", {"command": "incoder.unknown", "arguments": []}),
        ("unknown/request", {}),
    ):
        with pytest.raises(RequestError):
            client.request(method, params)
    client.open("file:///alive.py", "x = \n")
    client.suggest("file:///alive.py", 0, 4)
    assert len(model.bodies) == 1


def test_wrong_settings_are_reported_and_the_others_used(client: Client, model: FakeModelServer) -> None:
    configure(client, lines="all", max_new_tokens=7)
    shown = client.notified("window/showMessage", "incoder.lines")["message"]
    assert shown == "InCoder: the setting incoder.lines is \"all\": it must be 'auto', 'one' or 'block'"
    client.open("file:///settings.py", "x = \n")
    client.suggest("file:///settings.py", 0, 4)
    assert (model.bodies[0]["lines"], model.bodies[0]["max_new_tokens"]) == ("auto", 7)


def test_settings_are_fetched_from_an_editor_that_only_says_they_changed(
    start: Start, model: FakeModelServer
) -> None:
    client = start("--server", model.url)
    client.answers["workspace/configuration"] = lambda params: [
        {**SETTINGS, "lines": "one"} if params["items"] == [{"section": "incoder"}] else None
    ]
    client.initialize(settings=SETTINGS, capabilities={"workspace": {"configuration": True}})
    client.notify("workspace/didChangeConfiguration", {"settings": None})
    client.open("file:///a.py", "x = \n")

    def lines() -> object:
        client.suggest("file:///a.py", 0, 4)
        return model.bodies[-1]["lines"]

    wait_until(lambda: lines() == "one")


def test_the_log_holds_no_code(start: Start, model: FakeModelServer, tmp_path: Path) -> None:
    log = tmp_path / "log"
    client = start("--server", model.url, "--log-file", str(log))
    client.initialize(settings=SETTINGS)
    model.infills = by_last_line({"": ["secret_infill(1)"]})
    client.open("file:///a.py", "secret_text = \n")
    (item,) = client.suggest("file:///a.py", 0, 14)
    model.status = 500
    client.type("file:///a.py", 0, 14, "secret_typed")
    client.suggest("file:///a.py", 0, 26)
    model.status = 200
    model.infills = lambda _: {"secret": 1}  # type: ignore[assignment,return-value] # no answer of a model
    client.type("file:///a.py", 0, 26, "secret_typed")
    client.suggest("file:///a.py", 0, 38)
    client.notify("textDocument/didChange", {"textDocument": {"uri": "secret_uri"}, "secret_key": "secret"})
    client.execute(item["command"])
    client.shut_down()
    said = log.read_text() + json.dumps(client.notifications) + client.errors.decode()
    assert "suggestions in" in said
    assert "secret" not in said.replace("file of secrets", "")


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (
            ["--server", "localhost"],
            1,
            "--server must be a URL such as http://127.0.0.1:8012, got 'localhost'",
        ),
        (["--log-file", "/nowhere/log"], 1, "cannot write the log /nowhere/log: No such file or directory"),
        (["--port", "0"], 2, "greater than or equal to 1"),
        (["--stdio", "--port", "5", "now"], 2, "unexpected extra argument"),
        (["--prot", "5"], 2, "No such option: --prot"),
    ],
)
def test_wrong_options_are_errors_with_a_remedy(options: list[str], status: int, message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "incoder", "lsp", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert message in done.stderr
    assert done.stdout == ""


def test_it_serves_on_a_port(start: Start, model: FakeModelServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start("--port", str(port), "--server", model.url)

    def request() -> bytes:
        body = json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}
        ).encode()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            return connection.recv(65536)

    answer = b""

    def answered() -> bool:
        nonlocal answer
        try:
            answer = request()
        except ConnectionError:
            return False
        return b"inlineCompletionProvider" in answer

    wait_until(answered)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_idle_editor_costs_no_cpu(client: Client, model: FakeModelServer) -> None:
    client.open("file:///idle.py", "x = \n")
    client.suggest("file:///idle.py", 0, 4)
    time.sleep(0.5)
    before = cpu_seconds(client.process.pid)
    time.sleep(1.5)
    assert cpu_seconds(client.process.pid) - before <= 0.01
    assert len(model.bodies) == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_over_2000_keystrokes(start: Start, model: FakeModelServer) -> None:
    client = start("--server", model.url)
    client.initialize(settings={"debounce": 0, "log_level": "error"})
    model.infills = by_last_line({"": ["path.getsize(path) + total_of(all_of_them)"]})
    uri = "file:///a.py"
    client.open(uri, "x = 1\n" * 1000)
    sizes = []
    for number in range(2000):
        client.type(uri, 500, number % 50, "p" if number % 7 else "q")
        client.suggest(uri, 500, number % 50 + 1)
        if number % 50 == 49:
            client.change(uri, (500, 0, 500, 10_000, ""))
        if number % 250 == 249:
            sizes.append(resident_bytes(client.process.pid))
            client.notifications.clear()
            model.bodies.clear()
    assert sizes[-1] - sizes[3] < 2_000_000, sizes
    assert threading.active_count() < 50
