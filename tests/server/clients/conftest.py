"""Real clients against `incoder serve` in a process of its own, and where to find them."""

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KEYSTROKE = 0.3  # seconds: editors wait for a pause before they ask


@pytest.fixture(scope="session")
def clients() -> Path:
    """The folder that scripts/clients.sh makes."""
    folder = os.environ.get("INCODER_TEST_CLIENTS")
    if not folder:
        pytest.skip("needs clients: `scripts/clients.sh DIR`, then INCODER_TEST_CLIENTS=DIR")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def python(clients: Path) -> Path:
    """The Python that has the clients from PyPI."""
    found = clients / "venv" / "bin" / "python"
    if not found.exists():
        pytest.skip(f"needs the clients from PyPI: scripts/clients.sh {clients}")
    return found


@pytest.fixture(scope="session")
def sid(clients: Path) -> Path:
    """Debian sid with its editors, to be entered with chroot."""
    folder = clients / "sid"
    if not (folder / "usr" / "bin" / "vim").exists():
        pytest.skip(f"needs the editors: as root, scripts/clients.sh {clients}")
    if os.geteuid() != 0:
        pytest.skip("needs root, to enter the folder with the editors")
    return folder


@pytest.fixture
def desk(sid: Path) -> Iterator[Path]:
    """An empty folder that the editors see under the same path without `sid` before it."""
    folder = sid / "tmp" / f"incoder-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def plugin(desk: Path) -> Callable[[str, str], Path]:
    """Put an editor's plugin onto the desk; skip without a checkout of it."""

    def put(name: str, source: str) -> Path:
        folder = Path(os.environ.get("INCODER_TEST_PLUGINS", "")) / name
        if not os.environ.get("INCODER_TEST_PLUGINS") or not folder.is_dir():
            pytest.skip(f"needs {name}: `git clone {source}` in a folder, then INCODER_TEST_PLUGINS=FOLDER")
        shutil.copytree(folder, desk / name, ignore=shutil.ignore_patterns(".git"))
        return desk / name

    return put


class RunningServer:
    """A server in a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            text: str = answer.read().decode()
        return text

    def num_answered(self, dialect: str) -> int:
        """The number of requests in this dialect that were answered with 200."""
        found = re.search(
            rf'requests_total\{{dialect="{re.escape(dialect)}",outcome="ok"\}} (\d+)', self.get("/metrics")
        )
        return 0 if found is None else int(found[1])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """`incoder serve` with the embedded model, ready to answer."""
    with serving(tmp_path_factory) as running:
        yield running


@contextmanager
def serving(tmp_path_factory: pytest.TempPathFactory, *options: str) -> Iterator[RunningServer]:
    """Run `incoder serve` with these options, and wait until it is ready."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "incoder", "serve", "--port", "0", *options]
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        found = None
        while process.poll() is None and found is None:
            time.sleep(0.1)
            found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        if found is None:
            pytest.fail("incoder serve has ended: " + log.read_text())
        running = RunningServer(found[0])
        wait(lambda: _is_ready(running), 240)
        yield running
    finally:
        process.terminate()
        process.wait(30)


def _is_ready(server: RunningServer) -> bool:
    with suppress(OSError):
        return "ok" in server.get("/health")
    return False


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


class Editor:
    """An editor in a terminal of its own; keys are sent as a user types them."""

    def __init__(self, command: Sequence[str | Path], home: str) -> None:
        self._terminal, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM": "xterm",
            "HOME": home,
            "LANG": "C.UTF-8",
        }
        self._process = subprocess.Popen(
            command, stdin=inside, stdout=inside, stderr=inside, start_new_session=True, env=environment
        )
        os.close(inside)
        self._output = bytearray()
        threading.Thread(target=self._read, daemon=True).start()

    def type(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())
        time.sleep(KEYSTROKE)

    def wait_for(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        if not wait(condition, seconds):
            pytest.fail(f"the editor showed nothing; its terminal ends with {bytes(self._output[-1500:])!r}")

    def end(self) -> None:
        """Wait until the editor has ended, or end it. May be called again."""
        if self._process.returncode is not None:
            return
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._terminal)

    def _read(self) -> None:
        with suppress(OSError):  # the terminal is closed
            while data := os.read(self._terminal, 4096):
                self._output += data


@pytest.fixture
def edit(sid: Path, desk: Path) -> Iterator[Callable[..., Editor]]:
    """Start an editor of Debian sid with this initialisation file on a file of the desk."""
    started: list[Editor] = []

    def start(program: str, initialisation: Path, file: Path) -> Editor:
        inside = [f"/{path.relative_to(sid)}" for path in (initialisation, file)]
        home = f"/{desk.relative_to(sid)}"
        started.append(Editor(["chroot", sid, program, "-u", *inside], home))
        time.sleep(1)
        return started[-1]

    yield start
    for editor in started:
        editor.end()
