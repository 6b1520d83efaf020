"""Models on other servers for the command line: `--model URL`, with settings for what a URL cannot hold.

The settings are upstream_model, upstream_api_key_file and upstream_tokenizer, in the environment
(INCODER_UPSTREAM_MODEL and so on) or in the user's file.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from incoder.cli.console import print_note, progress
from incoder.cli.settings import find_settings

if TYPE_CHECKING:
    from incoder.inference.upstream.model import UpstreamModel


def is_upstream(model: str) -> bool:
    """Whether the name of a model is the URL of a server.

    >>> is_upstream("http://127.0.0.1:8000/v1"), is_upstream("mini")
    (True, False)
    """
    return model.startswith(("http://", "https://"))


def load_upstream_model(url: str, infilling_format: str | None = None) -> "UpstreamModel":
    """Return the model that runs on a server; notes say what the server cannot do.

    Raises:
        IncoderError: the server does not answer, refuses the key, or does not serve the model.
    """
    from incoder.inference.upstream.loading import load_upstream

    settings = {setting.name: setting.value for setting in find_settings(os.environ, Path.cwd())}
    with progress(f"asking {url} …"):
        loaded = load_upstream(
            [url],
            model=settings.get("upstream_model"),
            api_key_file=settings.get("upstream_api_key_file"),
            tokenizer=settings.get("upstream_tokenizer"),
            infilling_format=infilling_format,
        )
    for note in loaded.notes:
        print_note(note)
    return loaded
