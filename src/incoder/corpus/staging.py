"""A set of files that appear in a folder together, or not at all.

Files.py does this for one file; here one of several, the seal, is removed first and put back last, so that
who finds the seal finds all of them, and of the same run.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from incoder.errors import IncoderError
from incoder.files import make_folder


@contextmanager
def sealed_together(folder: Path, seal: str, replaced: Sequence[str] = ()) -> Iterator[Path]:
    """Yield an empty folder; what is written there moves into `folder` when the block ends without an error.

    Until then the old files stay as they are; then those that match one of the patterns `replaced` go. What
    else is in `folder` is left alone.

    Raises:
        IncoderError: the folder cannot be written, or the disk is full.
    """
    partial = make_folder(folder) / ".partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
        partial.mkdir()
        yield partial
        names = sorted((path.name for path in partial.iterdir()), key=lambda name: name == seal)
        for name in names:
            with (partial / name).open("rb+") as file:
                os.fsync(file.fileno())
        (folder / seal).unlink(missing_ok=True)
        for pattern in replaced:
            for path in folder.glob(pattern):
                path.unlink()
        for name in names:
            (partial / name).replace(folder / name)
    except OSError as error:
        raise IncoderError(f"cannot write into {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
