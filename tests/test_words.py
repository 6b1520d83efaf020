"""The words that read worst may only become fewer in src/incoder.

`word_budgets.json` holds how often each file has each of them. After a pass over the words, write the new
numbers with `python tests/test_words.py`; CONTRIBUTING.md says how we write.
"""

import json
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "incoder"
BUDGETS = Path(__file__).with_name("word_budgets.json")
INSTEAD = {
    "behind": "after",
    "stand": "be",
    "stands": "is",
    "told": "given (of code), called (of a thing)",
    "tells": "says",
    "those of": "the noun itself",
    "so many": "the number's name",
    "gives": "returns",
    "whoever": "the caller",
    "lies": "is",
    "twin": "reference implementation",
    "widen": "dequantize",
    "settled": "committed",
    "room": "package or module (or: space)",
    "rooms": "packages or modules",
    "wall": "boundary",
    "walls": "boundaries",
    "wanted": "the noun: needed files, logits_indices",
    "guess": "draft",
    "guesses": "drafts",
    "forget": "evict, roll back",
}


def occurrences(word: str) -> dict[str, int]:
    """How often each file that has the word has it, in any case and not within a longer word.

    The words of a name count: `wanted` is in `num_wanted`, not in `unwanted`.
    """
    pattern = re.compile(rf"(?<![a-z]){word}(?![a-z])", re.IGNORECASE)
    counts = {
        path.relative_to(SOURCE).as_posix(): len(pattern.findall(path.read_text(encoding="utf-8")))
        for path in sorted(SOURCE.rglob("*.py"))
    }
    return {path: count for path, count in counts.items() if count}


@pytest.mark.parametrize("word", INSTEAD)
def test_a_word_that_reads_badly_is_not_written_more_often(word: str) -> None:
    budget: dict[str, int] = json.loads(BUDGETS.read_text(encoding="utf-8")).get(word, {})
    found = occurrences(word)
    risen = [
        f"{path} ({budget.get(path, 0)} before, {count} now)"
        for path, count in found.items()
        if count > budget.get(path, 0)
    ]
    # The sum decides, so that a file may move with its words.
    assert sum(found.values()) <= sum(budget.values()), (
        f"write {INSTEAD[word]} instead of {word!r} in {', '.join(risen)}"
    )


def test_a_word_counts_alone_and_in_names_but_not_in_longer_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "SOURCE", tmp_path)
    (tmp_path / "a.py").write_text("num_wanted = Wanted  # unwanted, wantedly\n")
    (tmp_path / "b.py").write_text("# nothing\n")
    assert occurrences("wanted") == {"a.py": 2}


if __name__ == "__main__":
    counted = {word: occurrences(word) for word in INSTEAD}
    BUDGETS.write_text(json.dumps(counted, indent=1) + "\n", encoding="utf-8")
    for word, files in counted.items():
        print(f"{sum(files.values()):4d} {word}")
