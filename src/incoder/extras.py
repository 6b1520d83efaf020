"""The error for a missing extra of the installation, with the command that installs it."""

import json
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import unquote, urlsplit

from incoder.errors import IncoderError


def missing_extra(need: str, extra: str) -> IncoderError:
    """Return the error for a library that is not installed: the need, and the command that installs it.

    The message is, for example: renaming needs libcst: pip install -e '.[editing]' in /home/ada/incoder

    >>> str(missing_extra("renaming needs libcst", "editing")).partition(": ")[0]
    'renaming needs libcst'
    """
    return IncoderError(f"{need}: {_command(extra)}")


def _command(extra: str) -> str:
    """Return the command that installs the extra, from the clone if InCoder was installed from one."""
    try:
        installed = distribution("incoder")
    except PackageNotFoundError:  # only its source is on the path
        return f"pip install '.[{extra}]' in the clone"
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    if "dir_info" in origin:
        editable = "-e " if origin["dir_info"].get("editable") else ""
        return f"pip install {editable}'.[{extra}]' in {unquote(urlsplit(origin['url']).path)}"
    requirements = (one.partition(";") for one in installed.requires or ())
    of_extra = [f"'{name.strip()}'" for name, _, marker in requirements if f"'{extra}'" in marker]
    return f"pip install {' '.join(of_extra)}"
