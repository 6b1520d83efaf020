"""Rewrite whole lines of a file in any language; the model sees the text before and after them.

A comment before the lines can ask the model for a change, and may stay in the file. A candidate cannot be
used if it destroys code: the file no longer parses, a definition is lost, or a comment takes the place of
code.
"""

from collections.abc import Iterable
from pathlib import PurePath

from incoder.comments import commented
from incoder.editing.candidates import EditCandidate, ranked
from incoder.editing.defaults import EDIT
from incoder.editing.edits import Edit, apply_edits
from incoder.editing.languages import parse_problem
from incoder.editing.lines import indentation, line_end
from incoder.editing.required_definitions import RequiredDefinition, lost_definition
from incoder.model_protocol import Model
from incoder.request import InfillRequest
from incoder.results import Candidate

UNCHANGED = "is what was there"


def rewrite_lines(
    model: Model,
    text: str,
    span: tuple[int, int],
    template: InfillRequest = EDIT,
    *,
    comment: str = "",
    keep_comment: bool = False,
    is_one_line: bool = False,
    must_parse: bool = True,
    required: Iterable[RequiredDefinition] = (),
    path: PurePath | None = None,
) -> tuple[EditCandidate, ...]:
    """Return ranked candidates for the lines in `span`; each begins with the indentation of the first line.

    With `is_one_line`, a candidate is a single line. A candidate has a problem if it has no end, changes
    nothing, has only comments in place of code, loses a definition in `required`, leaves a text that does not
    parse (with `must_parse`), or is empty although a comment asks for a change.
    """
    start, end = span
    region = text[start:end]
    content = region.rstrip("\r\n")
    indent, tail = indentation(content), region[len(content) :]
    note = "".join(indent + line + line_end(text) for line in commented(comment.splitlines(), path))
    parts = [text[:start] + note + indent, tail + text[end:]]
    required = tuple(required)

    def candidate(filled: Candidate) -> EditCandidate:
        written = filled.infills[0].rstrip().removeprefix(indent)  # it is before the hole already
        lines = indent + written + tail if written.strip() else ""
        edit = Edit(start, end, (note if keep_comment else "") + lines)
        new = apply_edits(text, [edit])
        problem = None
        if filled.finish_reasons[0] in ("length", "time"):
            problem = f"has no end within {template.sampling.max_new_tokens} tokens"
        elif lines == region:
            problem = UNCHANGED
        elif comment and not lines:
            problem = "writes nothing"
        elif lines and _is_comment(lines, path) and not _is_comment(region, path):
            problem = "writes only a comment"
        problem = (
            problem or (parse_problem(new, path) if must_parse else None) or lost_definition(new, required)
        )
        return EditCandidate((edit,), filled.logprob, filled.total_logprob, problem)

    stop = ("\n",) if is_one_line else ()
    return ranked(map(candidate, model.run(template.for_parts(parts, stop=stop, path=path)).candidates))


def _is_comment(lines: str, path: PurePath | None) -> bool:
    """Whether every line is a comment or blank; False if the path, and so the language, is not known."""
    if path is None:
        return False
    opening, _, closing = commented(["x"], path)[0].partition("x")
    filled = [line.strip() for line in lines.splitlines() if line.strip()]
    return all(line.startswith(opening.strip()) and line.endswith(closing.strip()) for line in filled)
