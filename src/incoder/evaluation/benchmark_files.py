"""Benchmark files: find or fetch a file, and read its rows as tasks.

A file comes from the caller's path, or from the cache of files that were fetched before. Only `fetch` uses
the network; it checks the file against a checksum.
"""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from incoder.errors import IncoderError
from incoder.evaluation.benchmark import Benchmark, HubFile, Task
from incoder.extras import missing_extra
from incoder.files import sha256_of


def files_in(benchmark: Benchmark, folder: Path) -> list[Path]:
    """The files of a benchmark in a folder, or in the folder `data` inside it, which many data sets have."""
    name = benchmark.file_name.partition(".")[0]
    patterns = (benchmark.file_name, f"{name}.jsonl*", f"{name}.parquet", *benchmark.other_files, "*.parquet")
    found = {
        path for place in (folder, folder / "data") for pattern in patterns for path in place.glob(pattern)
    }
    return sorted(found)


def find(
    benchmark: Benchmark, path: Path | None, on_others: Callable[[Path, list[Path]], None] | None = None
) -> Path:
    """Find the benchmark's file: `path`, or a file in that folder; without a path, the one in the cache.

    If a folder has several files, the one with the benchmark's own name is used, and `on_others` is called
    with it and the others.

    Raises:
        IncoderError: there is no file, there are several and none has the benchmark's own name, or the file
            in the cache has the wrong checksum.
    """
    if path is not None:
        if path.is_dir():
            path = _choose_file(benchmark, path, on_others)
        if not path.exists():
            if benchmark.origin.startswith("incoder "):
                raise IncoderError(f"there is no {path}; make it with: {benchmark.origin} --from FOLDER")
            raise IncoderError(
                f"there is no {path}; the data is not fetched: take {benchmark.file_name} from "
                f"{benchmark.origin} and give its path"
            )
        return path
    if benchmark.hub is None:
        raise IncoderError(f"give --data PATH: {benchmark.file_name} from {benchmark.origin}")
    from huggingface_hub import try_to_load_from_cache

    hub = benchmark.hub
    cached = try_to_load_from_cache(hub.repository, hub.file, revision=hub.revision, repo_type="dataset")
    if not isinstance(cached, str):
        raise IncoderError(
            f"{benchmark.file_name} was not fetched yet; give --data PATH, or --fetch to take it from "
            f"{hub.repository} on the hub"
        )
    if hub.sha256 is not None:
        _check(Path(cached), hub, hub.sha256)
    return Path(cached)


def _choose_file(
    benchmark: Benchmark, folder: Path, on_others: Callable[[Path, list[Path]], None] | None
) -> Path:
    found = files_in(benchmark, folder)
    own = [path for path in found if path.name == benchmark.file_name][:1]
    if len(found) > 1 and not own:
        names = ", ".join(path.relative_to(folder).as_posix() for path in found)
        raise IncoderError(f"{folder} holds several files of {benchmark.name}: name one with --data: {names}")
    path = (own or found or [folder / benchmark.file_name])[0]
    others = [other for other in found if other != path]
    if others and on_others is not None:
        on_others(path, others)
    return path


def fetch(benchmark: Benchmark) -> Path:
    """Fetch the benchmark's file from the hub, unless it is in the cache, and check it.

    Raises:
        IncoderError: it is not on the hub, cannot be fetched, or has the wrong checksum.
    """
    hub = benchmark.hub
    if hub is None:
        raise IncoderError(
            f"{benchmark.name} cannot be fetched from the hub; take {benchmark.file_name} from "
            f"{benchmark.origin} and give --data PATH"
        )
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        path = Path(hf_hub_download(hub.repository, hub.file, revision=hub.revision, repo_type="dataset"))
        # The hub's etag of a large file is the sha256 of its content.
        wanted = (
            hub.sha256
            or get_hf_file_metadata(
                hf_hub_url(hub.repository, hub.file, revision=hub.revision, repo_type="dataset")
            ).etag
        )
    except (OSError, ValueError) as error:
        raise IncoderError(f"cannot fetch {hub.file} of {hub.repository}: {error}") from error
    _check(path, hub, wanted)
    return path


def _check(path: Path, hub: HubFile, wanted: str | None) -> None:
    found = sha256_of(path)
    if wanted != found:
        raise IncoderError(
            f"{path} is not {hub.file} of {hub.repository}: its sha256 is {found}, not {wanted}; remove it "
            "and --fetch it again"
        )


def load_tasks(
    path: Path,
    benchmark: Benchmark,
    limit: int | None = None,
    on_left_out: Callable[[int], None] | None = None,
    language: str | None = None,
) -> list[Task]:
    """Read the tasks of a `.jsonl`, `.jsonl.gz` or `.parquet` file, in all languages or in one.

    `limit` keeps this number of tasks, evenly spaced, because neighbours are often made from one problem.
    `on_left_out` is called with the number of rows that are not part of the benchmark, if any.

    Raises:
        IncoderError: the file cannot be read, a row is broken (the message names its line), two tasks have
            one id, there is no task, or none in this language; or `limit` is below 1.
    """
    if limit is not None and limit < 1:
        raise IncoderError(f"the limit must be at least 1 task, got {limit}")
    tasks: dict[str, Task] = {}
    num_left_out = 0
    for number, row in _rows(path):
        try:
            task = benchmark.read(row, number)
        except (ValueError, TypeError) as error:
            raise IncoderError(f"{path}, line {number}: no task of {benchmark.name}: {error}") from error
        if task is None:
            num_left_out += 1
            continue
        if task.key in tasks:
            raise IncoderError(f"{path}, line {number}: there is another task with the id {task.key}")
        tasks[task.key] = task
    if not tasks:
        why = f"none of its {num_left_out} rows is one" if num_left_out else "it is empty"
        raise IncoderError(f"{path} does not hold tasks of {benchmark.name}: {why}")
    if num_left_out and on_left_out is not None:
        on_left_out(num_left_out)
    everything = _in_language(list(tasks.values()), language, path)
    if limit is None or limit >= len(everything):
        return everything
    return [everything[index * len(everything) // limit] for index in range(limit)]


def _in_language(tasks: list[Task], language: str | None, path: Path) -> list[Task]:
    if language is None:
        return tasks
    chosen = [task for task in tasks if task.code_language == language.lower()]
    if not chosen:
        counts = Counter(task.code_language for task in tasks)
        languages = ", ".join(f"{name} ({number:,})" for name, number in counts.most_common())
        raise IncoderError(f"{path} holds no task in {language}; it has {languages}")
    return chosen


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows with their numbers; in a file of JSON lines, these are the numbers of the lines."""
    if path.suffix == ".parquet":
        yield from enumerate(_parquet_rows(path), start=1)
        return
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise IncoderError(f"{path}, line {number}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise IncoderError(f"{path}, line {number}: must be an object, got {line[:40]}")
        yield number, row


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise IncoderError(f"cannot read {path}: {error}") from error


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise missing_extra(f"reading {path} needs pyarrow", "evaluation") from error
    try:
        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except (OSError, ArrowException) as error:
        raise IncoderError(f"cannot read {path}: {error}") from error
    return rows
