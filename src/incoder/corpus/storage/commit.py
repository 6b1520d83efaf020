"""A set of files that appear in a folder together or not at all, and replace only files of earlier runs.

files.py does this for one file. Here one of several files, the seal, is removed first and written last, so
that a folder with a seal holds all files of one run. The seal is JSON with the SHA-256 of each other file by
its name, so that the next run knows which files it may replace: those that are still as they were written.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from incoder.errors import IncoderError
from incoder.files import make_folder, sha256_of, write_text
from incoder.output_folder import json_of, refuse_foreign

_REPLACED = "replaced.json"


@contextmanager
def sealed_together(folder: Path, seal: str, work: Path) -> Iterator[Path]:
    """Yield an empty folder; what is written there moves into `folder` when the block ends without an error.

    Until then the old files are unchanged; then those that the old seal names are removed. All other files in
    `folder` are left alone. `work` is a folder on the same file system that only this run uses
    (work_folder.py) and that outlives a killed run.

    Raises:
        IncoderError: the folder cannot be written, the disk is full, or a file would have to be replaced that
            the old seal does not name, or that was changed since.
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
        (work / _REPLACED).unlink()  # from here on the new seal tells
    except OSError as error:
        raise IncoderError(f"cannot write into {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def names_written(folder: Path, seal: str, work: Path) -> frozenset[str]:
    """The files of `folder` that are as earlier runs wrote them, including the seal.

    One that was changed since, such as a recipe that somebody goes on with, is not among them.
    """
    digests = _digests(folder, seal)
    kept = [name for name, digest in digests.items() if _is_as_written(folder / name, digest)]
    return frozenset((*kept, *([seal] if digests else []), *_plain_names(json_of(work / _REPLACED))))


def sealed_names(folder: Path, seal: str) -> frozenset[str]:
    """The files that the seal of `folder` names; none if there is no seal, or a foreign file of its name."""
    return frozenset(_digests(folder, seal))


def check_files(folder: Path, sha256: Mapping[str, str], noted_in: str, remedy: str) -> None:
    """Complain unless each file of `sha256`, by its name in `folder`, has the digest that was noted of it.

    Raises:
        IncoderError: a file is gone, cannot be read, or is another one.
    """
    for name, expected in sorted(sha256.items()):
        path = folder / name
        try:
            found = sha256_of(path)
        except OSError as error:
            raise IncoderError(f"cannot read {path}: {error.strerror}; {remedy}") from error
        if found != expected:
            raise IncoderError(f"{path} is not what was written: {noted_in} has another SHA-256; {remedy}")


def _digests(folder: Path, seal: str) -> dict[str, object]:
    content = json_of(folder / seal)
    digests = content.get("sha256") if isinstance(content, dict) else None
    return {name: digests[name] for name in _plain_names(digests)} if isinstance(digests, dict) else {}


def _is_as_written(path: Path, digest: object) -> bool:
    try:
        return sha256_of(path) == digest
    except OSError:
        return False  # it is gone, or no file at all


def _plain_names(names: object) -> Iterable[str]:
    """The names that are plain file names, without folders; the content may be foreign."""
    found = names if isinstance(names, list | dict) else ()
    return (name for name in found if isinstance(name, str) and name == Path(name).name not in ("", ".."))
