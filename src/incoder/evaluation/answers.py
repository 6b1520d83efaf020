"""Cut completions and compare them with the gold text: texts go in, texts or numbers come out."""


def first_lines(text: str, num_lines: int) -> str:
    """The first lines of `text` without leading blank lines, each with its newline.

    >>> first_lines("\\nx = 1\\ny = 2\\n", 1)
    'x = 1\\n'
    """
    lines = text.lstrip("\n").removesuffix("\n").split("\n")[:num_lines]
    return "".join(line + "\n" for line in lines)


def num_lines(gold: str) -> int:
    """The number of lines of the gold text, without leading blank ones; at least one."""
    text = gold.lstrip("\n")
    return max(1, text.count("\n") + (not text.endswith("\n")))


def as_long_as(text: str, gold: str) -> str:
    """Cut `text` to the number of lines of `gold`, because a left-to-right completion has no other end.

    If the gold text ends with a newline, so does the result. Leading blank lines do not count, and stay only
    if the gold text begins with one.

    >>> as_long_as("return x\\nprint(x)\\n", "return y\\n")
    'return x\\n'
    """
    if not gold.strip("\n"):
        return text[: len(gold)]
    lines = first_lines(text, num_lines(gold))
    front = text[: len(text) - len(text.lstrip("\n"))] if gold.startswith("\n") else ""
    return front + (lines if gold.endswith("\n") else lines.removesuffix("\n"))


def edit_similarity(one: str, other: str) -> float:
    """The edit similarity of two texts, in [0, 1].

    It is 1 - d / n: at least d insertions, deletions and replacements turn one text into the other
    (Levenshtein, 1966), and the longer text has n characters. Two empty texts have 1.

    >>> edit_similarity("mean", "meal")
    0.75
    """
    longest = max(len(one), len(other))
    if one == other or not longest:
        return 1.0
    row = list(range(len(other) + 1))
    for number, character in enumerate(one, start=1):
        diagonal, row[0] = row[0], number
        for place, expected in enumerate(other, start=1):
            replaced = diagonal + (character != expected)
            diagonal = row[place]
            row[place] = min(replaced, row[place] + 1, row[place - 1] + 1)
    return 1 - row[-1] / longest


def exact_matches(completion: str, gold: str) -> dict[str, float]:
    """Exact match of a completion and the gold text, as 0 or 1, and two lenient forms of it.

    They ignore the last newlines, and all white space around the texts.
    """
    return {
        "exact_match": float(completion == gold),
        "exact_match_without_last_newline": float(completion.rstrip("\n") == gold.rstrip("\n")),
        "exact_match_stripped": float(completion.strip() == gold.strip()),
    }
