"""Annotations checked by mypy with the project's own settings, in a folder that the user trusts.

mypy runs the plugins that a project's settings name, which is why this needs the user's trust.
"""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from incoder.editing.edits import Edit, apply_edits
from incoder.editing.types.type_checker import Mypy


async def checked_in_project(
    path: Path, folder: Path, text: str, changes: Sequence[Mapping[str, Any]]
) -> list[Any]:
    """Return the changes of the model server; none is used that adds type errors.

    `text` is the document's, which may differ from the file at `path`; `folder` has the settings.

    Raises:
        IncoderError: mypy is not installed, takes too long or cannot check the file.
    """
    return await asyncio.to_thread(_checked, path, folder, text, changes)


def _checked(path: Path, folder: Path, text: str, changes: Sequence[Mapping[str, Any]]) -> list[Any]:
    with (
        tempfile.TemporaryDirectory() as cache,
        Mypy(path, text, cache=Path(cache), project=folder) as mypy,
    ):
        if not mypy.new_errors(apply_edits(text, _edits(changes))):
            return list(changes)
        # The imports come last: they belong to all annotations, and add no error of their own.
        kept: list[Any] = []
        imports = [one for one in changes if one["place"] == "imports"]
        for change in changes:
            if change in imports or change["used"] is None:
                kept.append(change)
                continue
            errors = mypy.new_errors(apply_edits(text, _edits([*kept, change, *imports])))
            kept.append(
                {**change, "used": None, "candidates": _rejected(change, errors)} if errors else change
            )
        return kept


def _edits(changes: Sequence[Mapping[str, Any]]) -> list[Edit]:
    used = (one["candidates"][one["used"]]["edits"] for one in changes if one["used"] is not None)
    return list(
        dict.fromkeys(Edit(edit["start"], edit["end"], edit["text"]) for edits in used for edit in edits)
    )


def _rejected(change: Mapping[str, Any], errors: Sequence[str]) -> list[Any]:
    reason = f"rejected by mypy: {errors[0]}"
    return [
        {**one, "problem": reason} if number == change["used"] else one
        for number, one in enumerate(change["candidates"])
    ]
