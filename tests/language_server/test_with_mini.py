"""`incoder lsp` as a user runs it: it starts `incoder serve` with the embedded model, and loses it."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.language_server.client import Client, wait_until

from incoder import local_socket

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_suggestions_go_on_after_the_model_was_killed(
    start: Callable[..., Client], environment: dict[str, str], tmp_path: Path
) -> None:
    own = tmp_path / "own.py"
    own.write_text("import os\n")
    (tmp_path / "other.py").write_text("def size_of(path):\n    return os.path.getsize(path)\n" * 5)
    client = start()
    client.initialize(settings={"log_level": "debug"}, folders=[tmp_path])
    sockets = Path(environment["XDG_RUNTIME_DIR"]) / "incoder"

    def servers() -> list[int]:
        return [found for path in sockets.glob("*.sock") if (found := local_socket.listener(path))]

    def suggested(line: int) -> Any:
        text = f"import os\n\n\ndef size{line}(path):\n    return os."
        uri = (tmp_path / f"a{line}.py").as_uri()
        client.open(uri, text + "\n")
        return client.wait(client.ask_to_suggest(uri, 4, 14), 240)

    assert suggested(0)["items"]
    (first,) = servers()
    os.kill(first, signal.SIGKILL)
    assert suggested(1)["items"]
    (second,) = servers()
    assert second != first
    assert "no project memory" not in json.dumps(client.notifications)
    client.shut_down()
    wait_until(lambda: not servers(), 30)
