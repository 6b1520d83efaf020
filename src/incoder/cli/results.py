"""Infills as JSON and as a diff, and the notes on them for the user."""

import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from incoder.results import InfillResult

_LINE = re.compile(r"[^\n]*\n|[^\n]+")  # str.splitlines would also cut at form feeds and the like
_COLOURS = {"@": "\x1b[36m", "-": "\x1b[31m", "+": "\x1b[32m"}
_MAX_SHOWN = 200  # characters of another candidate's infill


def described(file: str, model: str, result: "InfillResult", text: str | None = None) -> dict[str, Any]:
    """Return an object for JSON: the best candidate's text (or `text`) and infills, then all candidates.

    Bytes that are no UTF-8 appear as the lone surrogates that Python's `surrogateescape` makes of them.
    """
    return {
        "file": file,
        "model": model,
        "text": result.text if text is None else text,
        "infills": result.infills,
        "candidates": [
            {
                "text": one.text,
                "infills": one.infills,
                "logprob": one.logprob,
                "total_logprob": one.total_logprob,
                "finish_reasons": one.finish_reasons,
            }
            for one in result.candidates
        ],
    }


def as_diff(file: str, old: str, new: str) -> str:
    """Return a unified diff, coloured where stdout is a terminal."""
    lines = difflib.unified_diff(_LINE.findall(old), _LINE.findall(new), fromfile=file, tofile=file)
    whole = [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]
    if Console(file=sys.stdout).color_system:  # None where it is no terminal, or NO_COLOR is set
        whole = [_coloured(line) for line in whole]
    return "".join(whole)


def candidate_notes(result: "InfillResult", num_candidates: int) -> list[str]:
    """Return notes with the infills of all candidates if the request has several."""
    if num_candidates == 1:
        return []
    notes = []
    num_found = len(result.candidates)
    if num_found < num_candidates:
        notes.append(f"{num_found} of the {num_candidates} candidates are different")
    for number, candidate in enumerate(result.candidates, start=1):
        used = " (used)" if number == 1 else ""
        notes.append(f"candidate {number}, mean log-probability {candidate.logprob:.3f}{used}")
        for infill in candidate.infills:
            shown = infill if len(infill) <= _MAX_SHOWN else infill[:_MAX_SHOWN] + " …"
            notes.append(f"    {shown!r}")
    return notes


def context_notes(files: Mapping[str, str], shown: Mapping[str, str]) -> list[str]:
    """Return notes on the other files that the model did not see, or not whole."""
    notes = []
    for name, text in files.items():
        num_lines, num_shown = len(text.splitlines()), len(shown.get(name, "").splitlines())
        if name not in shown:
            notes.append(f"{name}: left out, since it does not fit into the model's context")
        elif num_shown < num_lines:
            notes.append(f"{name}: only {num_shown} of {num_lines} lines fit into the model's context")
    return notes


def unfinished_notes(result: "InfillResult", max_new_tokens: int, remedy: str) -> list[str]:
    """Return notes on the infills of the best candidate that were cut off."""
    reasons, notes = result.candidates[0].finish_reasons, []
    if "length" in reasons:
        notes.append(f"{_holes(reasons, 'length')}: not finished after {max_new_tokens} tokens; {remedy}")
    if "time" in reasons:
        notes.append(f"{_holes(reasons, 'time')}: not finished in time; allow more with --time-limit")
    return notes


def _holes(reasons: Sequence[str], reason: str) -> str:
    """Return the holes whose infills ended so, by their numbers."""
    numbers = [str(number) for number, other in enumerate(reasons, start=1) if other == reason]
    return f"hole {numbers[0]}" if len(numbers) == 1 else f"holes {', '.join(numbers)}"


def _coloured(line: str) -> str:
    colour = _COLOURS.get(line[0], "")
    return f"{colour}{line.removesuffix(chr(10))}\x1b[0m\n" if colour else line
