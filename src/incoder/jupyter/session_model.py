"""The model of a notebook's session: loaded at first use, kept until another one is named."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incoder.cli.settings import find_settings

if TYPE_CHECKING:
    from incoder.inference.prompting_model import PromptingModel
    from incoder.jupyter.progress import Progress

_OF_MACHINE = ("device", "dtype")
_OF_SERVER = ("model", "api_key_file", "tokenizer")


class SessionModel:
    """Loads the model that the options of a magic name, by default the user's setting, else `mini`."""

    def __init__(self) -> None:
        self._options: dict[str, str] = {}
        self._model: PromptingModel | None = None

    def load(self, options: dict[str, str], progress: "Progress") -> "PromptingModel":
        """Return the loaded model, or load another one if these options of `incoder.load` name one.

        Raises:
            IncoderError: there is no such model, or it cannot be loaded.
        """
        changed = self._options | options
        if "model" in options:  # the other options were given for the model before
            changed = dict(options)
        if self._model is not None and changed == self._options:
            return self._model
        settings = user_settings()
        name = changed.get("model") or settings.get("model", "mini")
        self._model = None  # its memory is free before the next one is read
        self._model = _load(name, {k: v for k, v in changed.items() if k != "model"}, settings, progress)
        self._options = changed
        progress.show(f"{name} is loaded")
        return self._model


def user_settings() -> dict[str, Any]:
    """Return the defaults from the environment and the settings files (docs/filling.md).

    Raises:
        IncoderError: a file cannot be read, or has a value that is not allowed.
    """
    return {setting.name: setting.value for setting in find_settings(os.environ, Path.cwd())}


def _load(
    name: str, options: dict[str, str], settings: dict[str, Any], progress: "Progress"
) -> "PromptingModel":
    import incoder
    from incoder.model.compilation import before_compiling

    load: Any = incoder.load
    if name.startswith(("http://", "https://")):
        progress.show(f"asking {name} …", take_long=True)
        of_server = {one: settings.get(f"upstream_{one}") for one in _OF_SERVER}
        loaded: PromptingModel = load(name, **{**of_server, **options})
        return loaded
    progress.show(f"loading {name} …", take_long=True)
    of_machine = {one: settings[one] for one in _OF_MACHINE if one in settings}
    loaded = load(name, **{**of_machine, **options})
    before_compiling(lambda: progress.show("compiling for this machine, once …", take_long=True))
    return loaded
