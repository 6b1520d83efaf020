"""`incoder config`: the settings and the origin of each."""

import json as json_format
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from incoder.cli.console import write_result
from incoder.cli.settings import NAMES, PROJECT_FILE, find_settings, user_file


def config(json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Show the settings that replace the defaults of options, and the origin of each.

    An option on the command line wins, then the environment (INCODER_MODEL, INCODER_DTYPE and so on), then
    the project's .incoder.toml (hole and leave_out only), then ~/.config/incoder/config.toml. The files
    contain lines such as model = "Qwen/Qwen2.5-Coder-1.5B", dtype = "int8" or leave_out = ["Shell", "SQL"].
    The upstream_… settings belong to a model that is the URL of a server (docs/scale-out.md).

    Example: INCODER_DTYPE=int8 incoder config
    """
    found = find_settings(os.environ, Path.cwd())
    if json:
        write_result(json_format.dumps({"settings": [asdict(setting) for setting in found]}) + "\n")
        return
    known = {setting.name: setting for setting in found}
    for name in NAMES:
        if name in known:
            write_result(f"{name} = {json_format.dumps(known[name].value)}    from {known[name].origin}\n")
        else:
            write_result(f"{name}    not set\n")
    write_result(f"\nfiles: {PROJECT_FILE} of the project, {user_file(os.environ)} of the user\n")
