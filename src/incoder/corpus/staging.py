"""A set of files that appear in a folder together, or not at all, and replace only such files of before.

files.py does this for one file. Here one of several files, the seal, is removed first and put back last, so
that a folder with a seal holds all of its files, and of the same run. The seal is JSON that gives the SHA-256
of each of the others by its name; that is how the next run knows which files it may replace.
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

    Until then the old files stay as they are; then those that the old seal names go. What else is in `folder`
    is left alone. `work` is a folder on the same file system that only this run uses (work_folder.py) and
    that outlives a killed run.

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
        write_text(work / _REPLACED, json.dumps(sorted(ours.union(names))))  # should a kill take the seal
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
    """The files of `folder` that runs before this one wrote, the seal included."""
    sealed = sealed_names(folder, seal)
    return frozenset((*sealed, *([seal] if sealed else []), *_plain_names(_json(work / _REPLACED))))


def sealed_names(folder: Path, seal: str) -> frozenset[str]:
    """The files that the seal of `folder` names; none where there is no seal, or another file of its name."""
    content = _json(folder / seal)
    return frozenset(_plain_names(content.get("sha256")) if isinstance(content, dict) else ())


def _json(path: Path) -> object:
    try:
        content: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content


def _plain_names(names: object) -> Iterable[str]:
    """Names of files that are in the folder itself, whoever wrote them down."""
    found = names if isinstance(names, list | dict) else ()
    return (name for name in found if isinstance(name, str) and name == Path(name).name not in ("", ".."))
