"""Files that appear in a folder together or not at all, and replace only files of earlier runs.

files.py does this for a single file. Of several files, one is the manifest and commit marker: it is removed
first and written last, so a folder with a manifest has all files of one run. The manifest is JSON with the
SHA-256 of each other file by name. The next run may replace only files that still have this digest.
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
def committed_together(folder: Path, manifest: str, work: Path) -> Iterator[Path]:
    """Yield an empty folder; its files move into `folder` if the block ends without an error.

    Until then the old files are unchanged; then the files that the old manifest names are removed. All other
    files in `folder` are left alone. `work` is a folder on the same file system that only this run uses
    (work_folder.py) and that survives a kill.

    Raises:
        IncoderError: the folder cannot be written, the disk is full, or a file would have to be replaced that
            the old manifest does not name, or that was changed since.
    """
    partial = work / "partial"
    try:
        make_folder(folder)
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
        partial.mkdir(parents=True)
        yield partial
        names = sorted((path.name for path in partial.iterdir()), key=lambda name: name == manifest)
        ours = names_written(folder, manifest, work)
        refuse_foreign(folder, names, ours)
        for name in names:
            with (partial / name).open("rb+") as file:
                os.fsync(file.fileno())
        write_text(
            work / _REPLACED, json.dumps(sorted(ours.union(names)))
        )  # for a kill that leaves no manifest
        (folder / manifest).unlink(missing_ok=True)
        for name in ours.difference(names):
            (folder / name).unlink(missing_ok=True)
        for name in names:
            (partial / name).replace(folder / name)
        (work / _REPLACED).unlink()  # from here on the new manifest lists them
    except OSError as error:
        raise IncoderError(f"cannot write into {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def names_written(folder: Path, manifest: str, work: Path) -> frozenset[str]:
    """The files of `folder` that are as earlier runs wrote them, including the manifest.

    A file that was changed since then, such as a recipe that somebody edits, is not among them.
    """
    digests = _digests(folder, manifest)
    kept = [name for name, digest in digests.items() if _is_as_written(folder / name, digest)]
    return frozenset((*kept, *([manifest] if digests else []), *_plain_names(json_of(work / _REPLACED))))


def names_in_manifest(folder: Path, manifest: str) -> frozenset[str]:
    """The files that the manifest names; none if it is missing, or if a foreign file has its name."""
    return frozenset(_digests(folder, manifest))


def check_files(folder: Path, sha256: Mapping[str, str], noted_in: str, remedy: str) -> None:
    """Check that each file in `folder` has the SHA-256 that `sha256` has for its name.

    Raises:
        IncoderError: a file is gone, cannot be read, or has another digest.
    """
    for name, expected in sorted(sha256.items()):
        path = folder / name
        try:
            found = sha256_of(path)
        except OSError as error:
            raise IncoderError(f"cannot read {path}: {error.strerror}; {remedy}") from error
        if found != expected:
            raise IncoderError(f"{path} is not what was written: {noted_in} has another SHA-256; {remedy}")


def _digests(folder: Path, manifest: str) -> dict[str, object]:
    content = json_of(folder / manifest)
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
