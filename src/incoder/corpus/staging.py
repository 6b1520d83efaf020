"""A set of files that appear in a folder together or not at all, and replace only files of earlier runs.

files.py does this for one file. Here one of several files, the seal, is removed first and written last, so
that a folder with a seal holds all files of one run. The seal is JSON with the SHA-256 of each other file by
its name, so that the next run knows which files it may replace.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from incoder.errors import IncoderError
from incoder.files import make_folder, write_text
from incoder.output_folder import refuse_foreign

_REPLACED = "replaced.json"


@contextmanager
def sealed_together(folder: Path, seal: str, work: Path) -> Iterator[Path]:
    """Yield an empty folder; what is written there moves into `folder` when the block ends without an error.

    Until then the old files are unchanged; then those that the old seal names are removed. All other files in
    `folder` are left alone. `work` is a folder on the same file system that only this run uses
    (work_folder.py) and that outlives a killed run.

    Raises:
        IncoderError: the folder cannot be written, the disk is full, or a file that the old seal does not
            name would have to be replaced.
    """
    partial = work / "partial"
    try:
        make_folder(folder)
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
        partial.mkdir(parents=True)
        yield partial
        names = sorted((path.name for path in partial.iterdir()), key=lambda name: name == seal)
        ours = names_written(folder, seal, work)
        refuse_foreign(folder, names, ours)
        for name in names:
            with (partial / name).open("rb+") as file:
                os.fsync(file.fileno())
        write_text(work / _REPLACED, json.dumps(sorted(ours.union(names))))  # in case a kill leaves no seal
        (folder / seal).unlink(missing_ok=True)
        for name in ours.difference(names):
            (folder / name).unlink(missing_ok=True)
        for name in names:
            (partial / name).replace(folder / name)
    except OSError as error:
        raise IncoderError(f"cannot write into {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def names_written(folder: Path, seal: str, work: Path) -> frozenset[str]:
    """The files of `folder` that earlier runs wrote, including the seal."""
    sealed = sealed_names(folder, seal)
    return frozenset((*sealed, *([seal] if sealed else []), *_plain_names(_json(work / _REPLACED))))


def sealed_names(folder: Path, seal: str) -> frozenset[str]:
    """The files that the seal of `folder` names; none if there is no seal, or a foreign file of its name."""
    content = _json(folder / seal)
    return frozenset(_plain_names(content.get("sha256")) if isinstance(content, dict) else ())


def _json(path: Path) -> object:
    try:
        content: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content


def _plain_names(names: object) -> Iterable[str]:
    """The names that are plain file names, without folders; the content may be foreign."""
    found = names if isinstance(names, list | dict) else ()
    return (name for name in found if isinstance(name, str) and name == Path(name).name not in ("", ".."))
