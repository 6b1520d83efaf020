"""The playground in a real browser, and its TypeScript: playground/tests and the checks of playground/.

Needs Node.js and Chromium, and the npm packages of playground/ (`make playground`, or `npm ci` there).
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server.clients.conftest import RunningServer, serving

ROOT = Path(__file__).parents[3]
PLAYGROUND = ROOT / "playground"
BROWSER_TESTS = PLAYGROUND / "tests" / "browser" / "playground.test.ts"
KEY = "a-key-of-the-tests"

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]


def titles() -> list[str]:
    """The tests in the browser, as patterns of their titles."""
    source = BROWSER_TESTS.read_text(encoding="utf-8")
    found = re.findall(r"^ *test\((\"[^\"]+\"|`[^`]+`), async", source, re.MULTILINE)
    return [title[1:-1] for title in found]


@pytest.fixture(scope="session")
def npm() -> str:
    found = shutil.which("npm")
    if found is None or not (PLAYGROUND / "node_modules").is_dir():
        pytest.skip("needs Node.js and the npm packages of playground/: make playground")
    return found


@pytest.fixture(scope="session")
def chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("needs Chromium")
    return found


@pytest.fixture(scope="session")
def server_with_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(KEY)
    with serving(tmp_path_factory, "--api-key-file", str(keys)) as server:
        yield server


@pytest.fixture(scope="session")
def built(npm: str) -> None:
    """The tests, built for Node.js."""
    node([npm, "run", "build-tests"])


def node(command: list[str], **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=PLAYGROUND,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def test_types_style_and_the_pure_parts_hold(npm: str) -> None:
    node([npm, "run", "check"])
    assert re.search(r"^# pass [1-9]\d+$", node([npm, "test"]), re.MULTILINE)


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("title", titles())
def test_in_the_browser(
    title: str, chromium: str, server: RunningServer, server_with_key: RunningServer
) -> None:
    pattern = "^" + re.sub(r"\\\$\\\{\w+\\\}", r"\\w+", re.escape(title)) + "$"
    output = node(
        ["node", "--test", f"--test-name-pattern={pattern}", "build/tests/browser/playground.test.js"],
        CHROMIUM=chromium,
        INCODER_URL=server.url,
        INCODER_URL_WITH_KEY=server_with_key.url,
        INCODER_KEY=KEY,
    )
    assert re.search(r"^# pass [1-9]", output, re.MULTILINE), output[-2000:]
