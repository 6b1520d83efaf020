"""The majority vote over the infills of a variable's occurrences (paper, section 4.4).

It is a module of its own so that the evaluation can count votes without libcst, which renaming needs.
"""

import re
from collections import Counter
from collections.abc import Sequence

_IDENTIFIER = re.compile(r"\s*([^\W\d]\w*)")


def majority_vote(infills: Sequence[str]) -> str | None:
    """The name with which most infills begin, the first one in a tie; None if no infill begins with a name.

    >>> majority_vote(["total + 1", "count", "count)"])
    'count'
    """
    matches = (_IDENTIFIER.match(infill) for infill in infills)
    votes = Counter(match[1] for match in matches if match)
    return max(votes, key=votes.__getitem__, default=None)
