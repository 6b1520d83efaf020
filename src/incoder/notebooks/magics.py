"""IPython's own syntax in a code cell as comments, so that the cell is Python: strings in, strings out.

This syntax is `%magic`, `!command`, `?help` and `help?` where a statement could begin, `x = !command`, and a
cell that begins with `%%`. A modulo at the start of a line inside brackets is Python.
"""

import re

from incoder.inference.syntax.languages import PYTHON
from incoder.inference.syntax.scanner import Place, scan

# Cell magics whose cell is Python all the same; the others have another language, or none.
_OF_PYTHON = frozenset(("capture", "debug", "infill", "prun", "time", "timeit"))
_CELL_MAGIC = re.compile(r"\s*%%(\w*)")
_MAGIC = re.compile(
    r"\s*(?:[%!?]"  # a statement cannot begin with these
    r"|[A-Za-z_][\w.,\s\[\]'\"]*=\s*[%!][^=\s]"  # files = !ls
    r"|[\w.%*]+\?{1,2}\s*;?\s*$)"  # print?
)


def commented_magics(cell: str) -> str:
    """Return a cell's source with IPython's syntax in comments, as many lines as before.

    >>> commented_magics("%matplotlib inline\\nif x:\\n    !ls\\ny = (7\\n  % 4)")
    '# %matplotlib inline\\nif x:\\n    pass  # !ls\\ny = (7\\n  % 4)'
    """
    lines = cell.split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if of_cell := _CELL_MAGIC.match(lines[first]):
        end = first + 1 if of_cell[1] in _OF_PYTHON else len(lines)
        rest = commented_magics("\n".join(lines[end:])).split("\n") if end < len(lines) else []
        return "\n".join([*map(_comment, lines[:end]), *rest])
    if not any(_MAGIC.match(line) for line in lines):
        return cell
    return "\n".join(_statements_commented(cell.encode(), lines))


def _statements_commented(data: bytes, lines: list[str]) -> list[str]:
    """Return the lines; `data` is the same text in UTF-8. Only a line that may be magic is looked at."""
    found, offset, place, is_continued, is_magic = [], 0, Place(), False, False
    for line in lines:
        if is_continued:
            found.append(_comment(line) if is_magic else line)
        else:
            is_magic = _MAGIC.match(line) is not None
            if is_magic:
                place = _place_at(data, place, offset)
                is_magic = not place.stack
            found.append(_statement(line) if is_magic else line)
        offset += len(line.encode()) + 1
        if is_magic:
            place = Place(min(offset, len(data)))
        is_continued = line.endswith("\\")
    return found


def _place_at(data: bytes, place: Place, offset: int) -> Place:
    """Return the place at this offset, with the brackets and strings that are open there."""
    for mark in scan(data, PYTHON, place):
        if mark.start >= offset:
            break
        place = Place(mark.end, mark.stack)
    return place


def _comment(line: str) -> str:
    text = line.lstrip()
    return f"{line[: len(line) - len(text)]}# {text}" if text else line


def _statement(line: str) -> str:
    """Return a line as a comment; an indented one is a statement too, since its block may need one."""
    text = line.lstrip()
    indent = line[: len(line) - len(text)]
    return f"{indent}pass  # {text}" if indent else f"# {text}"
