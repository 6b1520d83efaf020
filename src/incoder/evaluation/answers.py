"""Cutting and comparing what a model wrote: texts in, texts or numbers out."""


def first_lines(text: str, num_lines: int) -> str:
    """The first lines of `text`, blank ones in front left out, each with its newline."""
    lines = text.lstrip("\n").removesuffix("\n").split("\n")[:num_lines]
    return "".join(line + "\n" for line in lines)


def as_long_as(text: str, gold: str) -> str:
    """`text` cut to as many lines as `gold` has, which left to right knows of no other end.

    Where the gold text ends with a newline, so does the cut one.
    """
    if gold.endswith("\n"):
        return first_lines(text, gold.count("\n"))
    return "\n".join(text.split("\n")[: gold.count("\n") + 1]) if gold else ""


def exact_matches(completion: str, gold: str) -> dict[str, float]:
    """Whether the completion is the gold text: to the byte, but for the last newline, but for white space."""
    return {
        "exact_match": float(completion == gold),
        "exact_match_without_last_newline": float(completion.rstrip("\n") == gold.rstrip("\n")),
        "exact_match_stripped": float(completion.strip() == gold.strip()),
    }
