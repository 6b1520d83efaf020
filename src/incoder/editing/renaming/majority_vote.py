"""Which name the fills of a variable's occurrences propose: that of the majority (paper, section 4.4).

Apart from rename.py, so that an evaluation can count votes without what renaming needs.
"""

import re
from collections import Counter
from collections.abc import Sequence

_IDENTIFIER = re.compile(r"\s*([^\W\d]\w*)")


def majority_vote(infills: Sequence[str]) -> str | None:
    """The name that most fills begin with, the earliest of those; None where none begins with one."""
    matches = (_IDENTIFIER.match(infill) for infill in infills)
    votes = Counter(match[1] for match in matches if match)
    return max(votes, key=votes.__getitem__, default=None)
