"""llama.vim in Vim and Neovim, and minuet in Neovim: a suggestion is shown, accepted and saved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

LLAMA_VIM = "https://github.com/ggml-org/llama.vim"  # tested with a1c8e6e40cb4
MINUET = "https://github.com/milanglacier/minuet-ai.nvim"  # tested with 479487c34041
FILE = 'import os\n\n\ndef size(path):\n\n\nprint(size("a"))\n'
TYPED = "    return os."


def written_line(file: Path) -> str:
    """The line that was typed and completed; everything else is as it was."""
    lines = file.read_text().splitlines()
    assert [*lines[:4], "", *lines[-2:]] == FILE.splitlines()
    return lines[4]


def is_completed(desk: Path) -> bool:
    """Whether the cursor's line has more than was typed."""
    line = (desk / "line").read_text().rstrip("\n")
    return line.startswith(TYPED) and len(line) > len(TYPED)


@pytest.mark.parametrize("program", ["vim", "nvim"])
def test_llama_vim_shows_a_suggestion_that_tab_accepts(
    program: str, desk: Path, plugin: Callable[..., Path], edit: Callable[..., Any], server: Any
) -> None:
    place = "/" + str(plugin("llama.vim", LLAMA_VIM)).partition("/sid/")[2]
    before = server.num_answered("llama.cpp")
    initialisation, file, shown = desk / "init.vim", desk / "a.py", desk / "shown"
    initialisation.write_text(
        f"""
        set nocompatible nomore shortmess=aoOtTWAIF
        set runtimepath+={place}
        let g:llama_config = {{'endpoint_fim': '{server.url}/infill', 't_max_predict_ms': 5000}}
        filetype plugin on
        function! Look(timer)
          if maparg('<Tab>', 'i') =~# 'llama#fim_accept'
            call writefile(['yes'], expand('~/shown'))
          endif
          call writefile([getline('.')], expand('~/line'))
        endfunction
        call timer_start(100, function('Look'), {{'repeat': -1}})
        """
    )
    file.write_text(FILE)
    editor = edit(program, initialisation, file)
    editor.type("5G")
    editor.type("i" + TYPED)
    editor.wait_for(shown.exists)
    editor.type("\t")
    editor.wait_for(lambda: is_completed(desk))
    editor.type("\x1b:wq\r")
    editor.end()
    assert written_line(file).startswith(TYPED)
    assert written_line(file) != TYPED
    assert server.num_answered("llama.cpp") > before


def test_minuet_shows_one_of_three_streams(
    desk: Path, plugin: Callable[..., Path], edit: Callable[..., Any], server: Any
) -> None:
    place = "/" + str(plugin("minuet-ai.nvim", MINUET)).partition("/sid/")[2]
    before = server.num_answered("openai")
    initialisation, file, shown = desk / "init.lua", desk / "a.py", desk / "shown"
    initialisation.write_text(
        f"""
        vim.opt.rtp:prepend('{place}')
        vim.cmd('filetype plugin on')
        require('minuet').setup {{
          provider = 'openai_fim_compatible',
          request_timeout = 30,
          throttle = 0,
          debounce = 100,
          virtualtext = {{ auto_trigger_ft = {{ 'python' }}, keymap = {{ accept = '<C-g>' }} }},
          provider_options = {{ openai_fim_compatible = {{
            api_key = 'TERM',
            name = 'InCoder',
            end_point = '{server.url}/v1/completions',
            model = 'mini',
            stream = true,
            optional = {{ max_tokens = 24 }},
          }} }},
        }}
        vim.uv.new_timer():start(200, 200, vim.schedule_wrap(function()
          if require('minuet.virtualtext').action.is_visible() then
            vim.fn.writefile({{ 'yes' }}, vim.fn.expand('~/shown'))
          end
          vim.fn.writefile({{ vim.api.nvim_get_current_line() }}, vim.fn.expand('~/line'))
        end))
        """
    )
    file.write_text(FILE)
    editor = edit("nvim", initialisation, file)
    editor.type("5G")
    editor.type("i" + TYPED)
    editor.wait_for(shown.exists)
    editor.type("\x07")
    editor.wait_for(lambda: is_completed(desk))
    editor.type("\x1b:wq\r")
    editor.end()
    assert written_line(file).startswith(TYPED)
    assert written_line(file) != TYPED
    assert server.num_answered("openai") >= before + 3  # T7: three identical requests, all answered
