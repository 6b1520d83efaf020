"""Neovim's own client, with the settings that `incoder doctor neovim` prints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from incoder.language_server.editors import find_editor

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

FILE = 'import os\n\n\ndef size(path):\n\n\nprint(size("a"))\n'
TYPED = "    return os."


def test_a_suggestion_is_shown_and_accepted_and_its_command_arrives(
    desk: Path, edit: Callable[..., Any], language_server: Path
) -> None:
    editor = find_editor("neovim")
    assert editor is not None
    inside = "/" + str(desk).partition("/sid/")[2]
    initialisation, file, shown, line = desk / "init.lua", desk / "a.py", desk / "shown", desk / "line"
    initialisation.write_text(
        f"""
        vim.env.PATH = '{inside}:' .. vim.env.PATH
        vim.opt.shortmess:append('I')
        vim.opt.more = false
        vim.cmd('filetype plugin on')
        {editor.settings}
        local space = vim.api.nvim_create_namespace('nvim.lsp.inline_completion')
        vim.uv.new_timer():start(200, 200, vim.schedule_wrap(function()
          local marks = vim.api.nvim_buf_get_extmarks(0, space, 0, -1, {{ details = true }})
          if #marks > 0 then
            vim.fn.writefile({{ vim.json.encode(marks[1][4].virt_text) }}, '{inside}/shown')
          end
          vim.fn.writefile({{ vim.api.nvim_get_current_line() }}, '{inside}/line')
        end))
        """
    )
    file.write_text(FILE)
    running = edit("nvim", initialisation, file)
    running.type("5G")
    for key in "i" + TYPED:
        running.type(key)
    running.wait_for(shown.exists)
    running.type("\t")
    running.wait_for(lambda: len(line.read_text().rstrip("\n")) > len(TYPED))
    running.type("\x1b:wqa\r")
    running.end()
    written = file.read_text().splitlines()[4]
    assert written.startswith(TYPED)
    assert written != TYPED
    counts = json.loads(language_server.read_text())["python"]
    assert counts["accepted"] == 1
    assert counts["shown"] >= 1
