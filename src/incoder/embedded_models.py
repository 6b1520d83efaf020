"""The models that come with the package: folders in `incoder/embedded`, by name. Imports no torch."""

from pathlib import Path

EMBEDDED = Path(__file__).resolve().parent / "embedded"

_CONFIG = "config.json"


def embedded_models() -> list[str]:
    """Return the names of the models that come with the package.

    >>> "mini" in embedded_models() or not embedded_models()
    True
    """
    return sorted(config.parent.name for config in EMBEDDED.glob(f"*/{_CONFIG}"))


def embedded_or_path(path: Path) -> Path:
    """Return the folder of the embedded model of this name; any other path is returned as it is.

    >>> embedded_or_path(Path("mini")).parent.name, embedded_or_path(Path("./runs/mini")).parent.name
    ('embedded', 'runs')
    """
    return EMBEDDED / path if str(path) in embedded_models() else path
