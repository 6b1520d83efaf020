"""Samples: completions on disk in human-eval's format, one JSON object with task_id and completion per line.

A run's file grows line by line while a model works, so a run that was stopped continues where it was. The
file `settings.json` in the same folder says what made the completions, so that those of two models never mix.
Files from elsewhere are read at once and checked against the tasks; they may also be logs of
lm-evaluation-harness.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from incoder.errors import IncoderError
from incoder.files import make_folder, write_bytes, write_text
from incoder.output_folder import refuse_foreign, written_with
from incoder.request_settings import RENAMED_SETTINGS


class Samples:
    """The completions of a run by task, in the order in which they were made; a context manager to add more.

    Raises:
        IncoderError: the folder cannot be written, has completions that were made with other settings or
            files of another program, or a line is not a completion.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        names = ("samples.jsonl", "settings.json")
        is_ours = written_with(folder / "settings.json", "model", "decoding")
        refuse_foreign(folder, names, ours=names if is_ours else ())
        make_folder(folder)
        self.path = folder / "samples.jsonl"
        is_begun = self.path.exists() and self.path.stat().st_size > 0
        _keep_settings(folder / "settings.json", settings, is_begun=is_begun)
        self.completions = _read_own(self.path)
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
        """Add a completion, and write it to disk at once."""
        assert self._file is not None, "entered as a context manager"
        self._file.write(json.dumps({"task_id": task_id, "completion": completion}) + "\n")
        self._file.flush()
        self.completions.setdefault(task_id, []).append(completion)


def read_samples(path: Path, wanted: Collection[str], known: Collection[str]) -> dict[str, list[str]]:
    """Read the completions of the `wanted` tasks from any file, in the file's order.

    Completions of other `known` tasks are ignored.

    Raises:
        IncoderError: the file cannot be read, a line is not a completion (the message names it), a completion
            is of an unknown task, or a wanted task has none.
    """
    try:
        lines = path.read_bytes().decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise IncoderError(f"cannot read {path}: {error}") from error
    completions = _completions(lines, path)
    unknown = [task_id for task_id in completions if task_id not in known]
    if unknown:
        raise IncoderError(f"{path} holds {_several(unknown)}, which the benchmark's data does not have")
    missing = [task_id for task_id in wanted if task_id not in completions]
    if missing:
        raise IncoderError(f"{path} holds no completion of {_several(missing)}; each task needs one")
    return {task_id: completions[task_id] for task_id in wanted}


def _several(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} other tasks"


def _keep_settings(path: Path, settings: Mapping[str, Any], *, is_begun: bool) -> None:
    if not (is_begun and path.exists()):
        write_text(path, json.dumps(settings, indent=2) + "\n")
        return
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise IncoderError(f"cannot read {path}: {error}; remove it or give another --output") from error
    if isinstance(earlier, dict) and "decoding" in earlier:
        earlier["decoding"] = _current_names(earlier["decoding"])
    for name, value in json.loads(json.dumps(settings)).items():
        if name not in earlier:
            raise IncoderError(
                f"{path.parent} holds completions of an earlier version of incoder, which did not write down "
                f"{name}; give another --output, or remove the folder"
            )
        if earlier[name] != value:
            theirs, ours = json.dumps(earlier[name]), json.dumps(value)
            raise IncoderError(
                f"{path.parent} holds completions made with {name} = {theirs}, this run has {ours}; "
                "give another --output, or remove the folder"
            )


def _current_names(decoding: Any) -> Any:
    """The settings of an earlier release's run under the names of today; read for one more release."""
    if not isinstance(decoding, dict):
        return decoding
    renamed = {RENAMED_SETTINGS.get(name, name): value for name, value in decoding.items()}
    return renamed | ({"rank_by": "full-text"} if renamed.get("rank_by") == "whole" else {})


def _read_own(path: Path) -> dict[str, list[str]]:
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:  # stopped in the middle of a line
        write_bytes(path, whole)
    return _completions(whole.decode("utf-8", "replace").split("\n"), path)


def _completions(lines: list[str], path: Path) -> dict[str, list[str]]:
    completions: dict[str, list[str]] = defaultdict(list)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            task_id, written = _task_and_completions(json.loads(line))
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise IncoderError(f"{path}, line {number}: not a completion: {line[:80]!r}") from error
        for completion in written:
            if not isinstance(completion, str):
                raise IncoderError(f"{path}, line {number}: the completion must be text, got {completion!r}")
        completions[task_id] += written
    return dict(completions)


def _task_and_completions(sample: Any) -> tuple[str, list[Any]]:
    """Read a line in human-eval's format, or a log line of lm-evaluation-harness, which contains the task."""
    if "resps" in sample:
        return str(sample["doc"]["task_id"]), list(sample["resps"][0])
    return str(sample["task_id"]), [sample["completion"]]
