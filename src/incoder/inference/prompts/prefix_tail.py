"""The lines that lead into a hole, given to the model as the beginning of its fill.

A prompt with a suffix ends far from the text before the hole. With the lead moved behind the last mark, what
is written follows directly on what stands before it; and while someone types on that line, all that comes
before the lead stays as it was, suffix included, and need not be read again. To the model it is a hole that
began earlier. Texts in, texts out.
"""

from itertools import accumulate

from incoder.tokenizer.prefix_tail import filled_lines, first_tail_line, split_lines


def split_lead(text: str, num_lines: int, num_kept: int = 0) -> tuple[str, str]:
    """What stands before the lead, and the lead: the beginning of the last line, and lines before it.

    There are `num_lines` that are not blank, that beginning counted as one even where it is empty; blank ones
    among them come along. With 0 the lead is empty. The first `num_kept` lines are never in it, its own line
    excepted: in a text between two holes they show the first hole what comes behind it. Where both holes are
    on one line there is no lead.
    """
    if num_lines == 0:
        return text, ""
    lines = split_lines(text)
    starts = [0, *accumulate(map(len, lines))]
    own_line = len(lines) - (bool(lines) and lines[-1][-1] not in "\r\n")
    first = starts[first_tail_line(filled_lines(lines), own_line, num_lines)]
    if num_kept:
        kept_end = starts[min(num_kept, len(lines))]
        first = max(first, min(kept_end, starts[own_line] or len(text)))
    return text[:first], text[first:]
