"""Editors of Debian sid, and a command `incoder` for them that leads to a language server outside of it."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server.clients.conftest import ROOT, RunningServer, clients, desk, edit, plugin, server, sid, wait

__all__ = ["clients", "desk", "edit", "plugin", "server", "sid"]

_BRIDGE = """#!/usr/bin/python3
import os, socket, sys, threading
connection = socket.create_connection(("127.0.0.1", {port}))
def send():
    while data := os.read(0, 65536):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while data := connection.recv(65536):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
"""


@pytest.fixture
def language_server(desk: Path, server: RunningServer, tmp_path: Path) -> Iterator[Path]:
    """`incoder lsp` in a process of its own, for one editor; yields the file in which it counts.

    The desk gets a command `incoder`, whatever its arguments, that is this language server.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "XDG_STATE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "incoder", "lsp", "--port", str(port), "--server", server.url]
    process = subprocess.Popen(command, env=environment)

    def listens() -> bool:
        # Asking by a connection would be taken for the editor's.
        return f":{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text()

    assert wait(listens, 60)
    bridge = desk / "incoder"
    bridge.write_text(_BRIDGE.format(port=port))
    bridge.chmod(bridge.stat().st_mode | stat.S_IXUSR)
    yield tmp_path / "incoder" / "acceptance.json"
    process.kill()
    process.wait()
