"""Next edits in Neovim by the plugin sidekick.nvim, with the settings in docs/editors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

SIDEKICK = "https://github.com/folke/sidekick.nvim"  # tested with 8ad0ede3ff90
SETTINGS = Path(__file__).resolve().parents[3] / "docs" / "editors" / "neovim-next-edits.lua"
FILE = "import os\n\n\ndef size(path):\n    return os.stat(path).st_size\n"


def test_a_next_edit_is_shown_jumped_to_and_applied(
    desk: Path, plugin: Callable[..., Path], edit: Callable[..., Any], language_server: Path
) -> None:
    place = "/" + str(plugin("sidekick.nvim", SIDEKICK)).partition("/sid/")[2]
    inside = "/" + str(desk).partition("/sid/")[2]
    initialisation, file, state = desk / "init.lua", desk / "reader.py", desk / "state"
    initialisation.write_text(
        f"""
        vim.env.PATH = '{inside}:' .. vim.env.PATH
        vim.opt.rtp:prepend('{place}')
        vim.opt.shortmess:append('I')
        vim.opt.more = false
        vim.opt.swapfile = false
        vim.cmd('filetype plugin on')
        {SETTINGS.read_text()}
        vim.uv.new_timer():start(200, 200, vim.schedule_wrap(function()
          local cursor = vim.api.nvim_win_get_cursor(0)
          vim.fn.writefile({{ vim.json.encode({{
            shown = require('sidekick.nes').have(),
            line = cursor[1],
            text = vim.api.nvim_buf_get_lines(0, 0, -1, false),
          }}) }}, '{inside}/state')
        end))
        """
    )
    file.write_text(FILE)

    def now() -> Any:
        try:
            return json.loads(state.read_text())
        except (OSError, ValueError):  # it is being written
            return {}

    running = edit("nvim", initialisation, file)
    running.type("4G")
    running.type("fp")  # the parameter in `size(path)`
    running.type("cwfile_name\x1b")
    running.wait_for(lambda: now().get("shown"))
    running.type("\t")
    running.wait_for(lambda: now().get("line") == 5)
    running.type("\t")
    running.wait_for(lambda: "os.stat(file_name)" in "".join(now().get("text", [])))
    running.type(":wqa\r")
    running.end()
    assert file.read_text() == FILE.replace("path", "file_name")
    counts = json.loads(language_server.read_text())["python (next edits)"]
    assert counts["accepted"] == 1
