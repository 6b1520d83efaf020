"""Cutting and comparing what a model wrote: texts in, texts or numbers out."""


def first_lines(text: str, num_lines: int) -> str:
    """The first lines of `text`, blank ones in front left out, each with its newline."""
    lines = text.lstrip("\n").removesuffix("\n").split("\n")[:num_lines]
    return "".join(line + "\n" for line in lines)


def num_lines(gold: str) -> int:
    """The number of lines of the gold text, without leading blank ones; at least one."""
    text = gold.lstrip("\n")
    return max(1, text.count("\n") + (not text.endswith("\n")))


def as_long_as(text: str, gold: str) -> str:
    """`text` cut to as many lines as `gold` has, because left to right has no other end.

    If the gold text ends with a newline, so does the result. Leading blank lines do not count, and stay only
    if the gold text begins with one.
    """
    if not gold.strip("\n"):
        return text[: len(gold)]
    lines = first_lines(text, num_lines(gold))
    front = text[: len(text) - len(text.lstrip("\n"))] if gold.startswith("\n") else ""
    return front + (lines if gold.endswith("\n") else lines.removesuffix("\n"))


def edit_similarity(one: str, other: str) -> float:
    """1 - d / n, where d insertions, deletions and replacements turn one text into the other (Levenshtein,
    1966) and the longer one has n characters; 1 for two empty texts."""
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
    """Whether the completion is the gold text: to the byte, but for the last newline, but for white space."""
    return {
        "exact_match": float(completion == gold),
        "exact_match_without_last_newline": float(completion.rstrip("\n") == gold.rstrip("\n")),
        "exact_match_stripped": float(completion.strip() == gold.strip()),
    }
