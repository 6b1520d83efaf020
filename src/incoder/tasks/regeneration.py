"""Whole lines of a file written anew with both sides in view, in any language.

A comment before them can say what for; then the model sees it, and it may stay.
"""

from pathlib import PurePath

from incoder.comments import commented
from incoder.tasks.candidates import Candidate, ranked
from incoder.tasks.edits import Edit, apply
from incoder.tasks.languages import parse_problem
from incoder.tasks.lines import indentation, line_end
from incoder.tasks.model import Decoding, Filled, Model, fill

UNCHANGED = "is what was there"


def regenerate(
    model: Model,
    text: str,
    span: tuple[int, int],
    decoding: Decoding,
    *,
    comment: str = "",
    keep_comment: bool = False,
    is_one_line: bool = False,
    path: PurePath | None = None,
) -> tuple[Candidate, ...]:
    """Ways to write the lines in `span`, ranked; they begin at the indentation of the first one.

    With `is_one_line` a way ends where its line does. One that has no end, does not parse or is what was
    there has a problem; so has one that writes nothing where a comment asks for something.
    """
    start, end = span
    region = text[start:end]
    content = region.rstrip("\r\n")
    lead, tail = indentation(content), region[len(content) :]
    note = "".join(lead + line + line_end(text) for line in commented(comment.splitlines(), path))
    parts = [text[:start] + note + lead, tail + text[end:]]

    def candidate(filled: Filled) -> Candidate:
        written = filled.infills[0].rstrip().removeprefix(lead)  # which stands before the hole already
        lines = lead + written + tail if written.strip() else ""
        edit = Edit(start, end, (note if keep_comment else "") + lines)
        problem = None
        if filled.finish_reasons[0] in ("length", "time"):
            problem = f"has no end within {decoding.max_new_tokens} tokens"
        elif lines == region:
            problem = UNCHANGED
        elif comment and not lines:
            problem = "writes nothing"
        problem = problem or parse_problem(apply(text, [edit]), path)
        return Candidate((edit,), filled.logprob, filled.total_logprob, problem)

    stop = ("\n",) if is_one_line else ()
    return ranked(map(candidate, fill(model, parts, decoding, stop=stop, path=path)))
