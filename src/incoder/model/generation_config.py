"""The file generation_config.json of a checkpoint, as far as InCoder reads it. Imports no torch."""

import warnings
from pathlib import Path

from incoder.errors import IncoderError, shown
from incoder.files import read_json_object

GENERATION_CONFIG = "generation_config.json"
TAIL_LINES = "num_tail_lines"

_OLD_TAIL_LINES = "num_lead_lines"
_MAX_TAIL_LINES = 1000
_MAX_CONFIG_BYTES = 10_000_000


def load_num_tail_lines(folder: Path) -> int:
    """Return the number of lines in the prefix tail that the model was trained with, 0 by default.

    Warns:
        FutureWarning: the setting has its old name, num_lead_lines.

    Raises:
        IncoderError: `generation_config.json` cannot be read, or the setting is out of range.
    """
    path = folder / GENERATION_CONFIG
    if not path.exists():
        return 0
    settings = read_json_object(path, max_bytes=_MAX_CONFIG_BYTES)
    name = TAIL_LINES
    if name not in settings and _OLD_TAIL_LINES in settings:
        name = _OLD_TAIL_LINES
        warnings.warn(
            f"{path}: num_lead_lines is called num_tail_lines now; the next release reads only that name",
            FutureWarning,
            stacklevel=2,
        )
    num_lines = settings.get(name, 0)
    if type(num_lines) is not int or not 0 <= num_lines <= _MAX_TAIL_LINES:
        raise IncoderError(
            f"{path}: {name} must be a number of lines from 0 to {_MAX_TAIL_LINES}, got {shown(num_lines)}"
        )
    return num_lines
